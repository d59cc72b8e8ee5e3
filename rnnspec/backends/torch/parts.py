"""The functions and classes above the model class that its layers need, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import LEGACY_HARD_SIGMOID, RETURNS
from rnnspec.backends.torch.channels import batch_norm_class
from rnnspec.backends.torch.classes import cell_classes, sequences, wrapped
from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.recurrent import choose_result, stepwise_class
from rnnspec.ir import nodes
from rnnspec.ir.equations import ApplyToVector
from rnnspec.ir.nodes import layer_activations
from rnnspec.source.code import Code, code, docstring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.ir.forms import Form


def parts(network: nodes.Network, form: Form) -> Iterator[Code]:
    """Yield the parts of a network's source, those that others use first."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    if any(layer.dropout for layer in recurrent):
        yield _VARIATIONAL_DROPOUT
    for class_ in sorted({plan_of(layer).class_ for layer in recurrent}):
        if class_.startswith("SingleBias"):
            yield _single_bias(class_.removeprefix("SingleBias"))
    yield from _wrappers(wrapped(network), form)
    yield from _activations(network)
    expressions = list(nodes.cell_expressions(network))
    if any(isinstance(part, ApplyToVector) and part.epsilon for part in expressions):
        yield _STANDARDIZE
    for cell in cell_classes(network).values():
        yield stepwise_class(cell)
    if any(plan_of(layer).has_single_step for layer in recurrent):
        yield _SINGLE_STEP
    norms = [layer for layer in network.layers if isinstance(layer, nodes.BatchNorm)]
    if norms and form == "training":
        yield batch_norm_class(norms)
    if nodes.tied_layers(network):
        yield _TIED_LINEAR


def _activations(network: nodes.Network) -> Iterator[Code]:
    """Yield the activations that PyTorch lacks, or has in another form."""
    cells = {
        activation
        for layer in network.layers
        if isinstance(layer, nodes.Recurrent)
        for activation in layer_activations(layer)
    }
    everywhere = {name for layer in network.layers for name in layer_activations(layer)}
    if "hard_sigmoid" in everywhere:
        yield _HARD_SIGMOID
    if "legacy_hard_sigmoid" in everywhere:
        yield _LEGACY_HARD_SIGMOID
    # Other layers pass the threshold themselves.
    if "softplus" in cells:
        yield _SOFTPLUS


_HARD_SIGMOID = code('''
    def hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
        """Return relu6(x + 3) / 6; PyTorch's own rounds its slope to float32."""
        if x.dtype == torch.float32:
            return nn.functional.hardsigmoid(x)
        return nn.functional.relu6(x + 3) / 6
''')
_LEGACY_HARD_SIGMOID = code(
    """
    def legacy_hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
        {}
        return nn.functional.hardtanh(0.2 * x + 0.5, 0.0, 1.0)
    """,
    docstring([LEGACY_HARD_SIGMOID]),
)
_SOFTPLUS = code('''
    def softplus(x: torch.Tensor) -> torch.Tensor:
        """Return log(1 + exp(x)), at PyTorch's own threshold, 20, off by 2e-9."""
        return nn.functional.softplus(x, threshold=40)
''')
_STANDARDIZE = code('''
    def standardize(x: torch.Tensor, epsilon: float) -> torch.Tensor:
        """Return vectors with a mean of 0, and a variance of 1 but for epsilon."""
        return nn.functional.layer_norm(x, x.shape[-1:], eps=epsilon)
''')
_VARIATIONAL_DROPOUT = code('''
    def variational_dropout(x: torch.Tensor, rate: float, training: bool) -> torch.Tensor:
        """Drop features of (batch, steps, features), one mask for all steps of a sequence."""
        if not training:
            return x
        keep = x.new_ones(x.shape[0], 1, x.shape[2])
        return x * nn.functional.dropout(keep, rate)
''')
_TIED_LINEAR = code('''
    class TiedLinear(nn.Module):
        """A linear layer with the weight of another module, so that it has only a bias."""

        def __init__(self, out_features: int) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.empty(out_features))

        def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            """Return ``x @ weight.T + bias``."""
            return nn.functional.linear(x, weight, self.bias)
''')
_SINGLE_STEP = code('''
    def single_step(
        layer: nn.LSTM, x: torch.Tensor, states: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return what ``layer`` returns for one step, by cells: half the time on a CPU."""
        x, h, c = x.squeeze(1), [], []
        for weights, *state in zip(layer.all_weights, *states, strict=True):
            x, cell = torch.lstm_cell(x, state, *weights)
            h.append(x)
            c.append(cell)
        return x.unsqueeze(1), (torch.stack(h), torch.stack(c))
''')


def _single_bias(base: str) -> Code:
    return code(
        '''
        class SingleBias{base}(nn.{base}):
            """``nn.{base}`` with one bias per direction; the second one stays zero."""

            def _init_flat_weights(self) -> None:
                # PyTorch calls this when the arrays are created or moved: after Module.to_empty
                # their memory is uninitialized.
                for name, second in list(self.named_parameters()):
                    if name.startswith("bias_hh"):
                        # A buffer is not trained: only the sum of both biases matters.
                        delattr(self, name)
                        self.register_buffer(name, second.detach(), persistent=False)
                for zero in self.buffers():
                    zero.zero_()
                super()._init_flat_weights()
        ''',
        base=base,
    )


def _wrappers(layers: list[nodes.Recurrent], form: Form) -> Iterator[Code]:
    """Yield the modules that handle the padding of stock layers."""
    if any(plan_of(layer).has_states for layer in layers):
        kinds = sorted({plan_of(layer).wrapper for layer in layers})
        packs = any(plan_of(layer).packs for layer in layers)
    else:
        kinds, packs = [sequences(layers)] if layers else [], False
    for kind in kinds:
        if packs:
            yield _MASKED_STEP if kind == "Masked" else _MASKED_LSTM_STEP
        else:
            yield _masked_to_train(kind) if form == "training" else _masked_to_deploy(kind)


def _of_kind(kind: str) -> dict[str, Code]:
    """Return what differs between modules, by how many of their layers return whole sequences.

    The kind of a module with states is its name.
    """
    match kind:
        case "MaskedLSTM":
            type_, first = "tuple[torch.Tensor, torch.Tensor]", "state[0][-1]"
        case "Masked":
            type_, first = "torch.Tensor", "state[-1]"
        case _:
            type_, first = "", "0"
    return {
        "name": code("{}", kind if type_ else "Masked"),
        "given": Code(f", state: {type_}" if type_ else ""),
        "returned": Code("tuple[torch.Tensor, torch.Tensor]" if type_ else "torch.Tensor"),
        "docstring": RETURNS["with_state" if type_ else kind],
        "state": Code(", state" if type_ else ""),
        "init": _init_masked(kind),
        "first": Code(first),
    }


def _masked_to_train(kind: str) -> Code:
    parts, outputs = _of_kind(kind), "self.pick(outputs, place.clamp(max=longest - 1))"
    last = code("last = self.pick(outputs, (count - 1).clamp(min=0)).squeeze(1)")
    result = code("torch.where(count > 0, last, {})", parts["first"])
    return code(
        '''
        class {name}(nn.Module):
            """A recurrent layer that skips padded steps; its outputs there are undefined."""

            {init}

            def forward(self, x: torch.Tensor, mask: torch.Tensor{given}) -> {returned}:
                {docstring}
                {order}
                outputs, _ = self.layer(self.pick(x, order){state})
                {result}

            {pick}
        ''',
        **parts,
        order=_ORDER,
        result=code(
            """
            {}
            last = {}
            return {}, last.unsqueeze(0)
            """,
            last,
            result,
            Code(outputs),
        )
        if parts["state"]
        else choose_result(
            kind, code("return {}", Code(outputs)), code("{}\nreturn {}", last, result)
        ),
        pick=_PICK,
    )


_ORDER = code("""
    # Not pack_padded_sequence, which is slower and takes padding at the end only.
    # The real steps of each sequence move to its front, in order, before any padding.
    real = mask.cumsum(dim=1)
    count = real[:, -1:]
    step = torch.arange(x.shape[1], device=x.device).expand_as(real)
    place = torch.where(mask, real - 1, count + step - real)
    # Steps that are padding in every sequence are cut, unless tracing would fix their number.
    longest = x.shape[1]
    if type(longest) is int and not torch.compiler.is_compiling():
        longest = max([1, *count.flatten().tolist()])
    order = place.scatter(1, place, step)[:, :longest]
""")
_PICK = code('''
    def pick(self, x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Return the given steps (batch, n) of each sequence in (batch, steps, features)."""
        rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1) * x.shape[1]
        picked = x.flatten(0, 1).index_select(0, (rows + steps).flatten())
        return picked.view(*steps.shape, x.shape[2])
''')


def _masked_to_deploy(kind: str) -> Code:
    parts = _of_kind(kind)
    outputs = code("place = torch.argsort(order, dim=1).unsqueeze(-1)")
    unpicked = code("torch.gather(outputs, 1, place.expand_as(outputs))")
    last = code("""
        count = mask.sum(dim=1).view(-1, 1, 1)
        last_step = (count - 1).clamp(min=0).expand(-1, 1, outputs.shape[2])
        last = torch.gather(outputs, 1, last_step)
    """)
    first = parts["first"] if parts["first"] == "0" else code("{}.unsqueeze(1)", parts["first"])
    result = code("torch.where(count > 0, last, {})", first)
    if parts["state"]:
        text = code(
            """
            {}
            last = {}
            {}
            return {}, last.transpose(0, 1)
            """,
            last,
            result,
            outputs,
            unpicked,
        )
    else:
        text = choose_result(
            kind,
            code("{}\nreturn {}", outputs, unpicked),
            code("{}\nreturn {}.squeeze(1)", last, result),
        )
    return code(
        '''
        class {name}(nn.Module):
            """A recurrent layer that skips padded steps; its outputs there are undefined."""

            {init}

            def forward(self, x: torch.Tensor, mask: torch.Tensor{given}) -> {returned}:
                {docstring}
                # Not pack_padded_sequence, which is slower and takes padding at the end only.
                # The real steps of each sequence move to its front, in order, before any padding.
                # ONNX has no stable sort.
                step = torch.arange(x.shape[1], device=x.device)
                order = torch.argsort(torch.where(mask, step, step + x.shape[1]), dim=1)
                outputs, _ = self.layer(x.gather(1, order.unsqueeze(-1).expand_as(x)){state})
                {result}
        ''',
        **parts,
        result=text,
    )


def _init_masked(kind: str) -> Code:
    if kind == "some":
        return code("""
            def __init__(self, layer: nn.RNNBase, *, return_sequences: bool) -> None:
                super().__init__()
                self.layer = layer
                self.return_sequences = return_sequences
        """)
    return code("""
        def __init__(self, layer: nn.RNNBase) -> None:
            super().__init__()
            self.layer = layer
    """)


_PACK = code("""
    # The real steps of each sequence move to its front, in order, before any padding.
    # ONNX has no stable sort.
    step = torch.arange(x.shape[1], device=x.device)
    order = torch.argsort(torch.where(mask, step, step + x.shape[1]), dim=1)
    steps = mask.sum(dim=1)
    # A packed sequence has at least one step; a state without real steps is kept below.
    packed = nn.utils.rnn.pack_padded_sequence(
        x.gather(1, order.unsqueeze(-1).expand_as(x)),
        steps.clamp(min=1).cpu(),
        batch_first=True,
        enforce_sorted=False,
    )
""")
_UNPACK = code("""
    x, _ = nn.utils.rnn.pad_packed_sequence(
        outputs, batch_first=True, total_length=mask.shape[1]
    )
    x = x.gather(1, torch.argsort(order, dim=1).unsqueeze(-1).expand_as(x))
    real = (steps > 0).unsqueeze(-1)
""")
_MASKED_STEP = code(
    '''
    class Masked(nn.Module):
        """A recurrent layer that skips padded steps; its outputs there are undefined."""

        def __init__(self, layer: nn.RNNBase) -> None:
            super().__init__()
            self.layer = layer

        def forward(
            self, x: torch.Tensor, mask: torch.Tensor, h: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            """Return the outputs, (batch, steps, units), and the state after them."""
            {pack}
            outputs, last = self.layer(packed, h)
            {unpack}
            return x, torch.where(real, last, h)
    ''',
    pack=_PACK,
    unpack=_UNPACK,
)
_MASKED_LSTM_STEP = code(
    '''
    class MaskedLSTM(nn.Module):
        """A recurrent layer that skips padded steps; its outputs there are undefined."""

        def __init__(self, layer: nn.LSTM) -> None:
            super().__init__()
            self.layer = layer

        def forward(
            self,
            x: torch.Tensor,
            mask: torch.Tensor,
            state: tuple[torch.Tensor, torch.Tensor],
        ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
            """Return the outputs, (batch, steps, units), and the states after them."""
            {pack}
            outputs, (h, c) = self.layer(packed, state)
            {unpack}
            return x, (torch.where(real, h, state[0]), torch.where(real, c, state[1]))
    ''',
    pack=_PACK,
    unpack=_UNPACK,
)

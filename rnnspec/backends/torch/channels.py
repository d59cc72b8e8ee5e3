"""Layers that PyTorch computes on (batch, features, steps): convolutions, pools and batch norms.

A run of them, with the activations and dropouts between, is transposed once, and back once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir import nodes
from rnnspec.source.code import Code, code
from rnnspec.source.values import kept_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.source.layers import LayerWriter


def channel_runs(network: nodes.Network) -> Iterator[tuple[nodes.Layer, ...]]:
    """Yield the layers of each run, from one that PyTorch has only on this layout to the last."""
    starts = {layer.start for layer in network.layers if isinstance(layer, nodes.Residual)}
    # What others take is (batch, steps, features), so a run neither begins before nor goes past it.
    results = {name for _, name in network.outputs if name != network.last}
    used_later = kept_values(network, network.layers, results)
    run, taken = list[nodes.Layer](), nodes.sources(network)
    previous = network.inputs[0].name
    for layer in network.layers:
        is_any = isinstance(layer, nodes.Activate | nodes.Dropout) and len(layer.input) > 1
        follows = taken[layer.name][0] == previous and layer.name not in starts
        previous = layer.name
        if not follows or not (is_any or _is_channeled(layer)):
            yield from _trim(run)
            run = []
        if is_any or _is_channeled(layer):
            run.append(layer)
        if layer.name in used_later:
            yield from _trim(run)
            run = []
    yield from _trim(run)


def _is_channeled(layer: nodes.Layer) -> bool:
    match layer:
        case nodes.Conv() | nodes.WindowPooling():
            return True
        case nodes.BatchNorm():
            return len(layer.input) > 1
        case nodes.Dropout():
            return layer.variational
        case _:
            return False


def _trim(run: list[nodes.Layer]) -> Iterator[tuple[nodes.Layer, ...]]:
    """Yield a run without the activations and dropouts at its ends, unless nothing is left."""
    places = [at for at, layer in enumerate(run) if _is_channeled(layer)]
    if places:
        yield tuple(run[places[0] : places[-1] + 1])


def fill_padding(writer: LayerWriter, value: Code) -> Code:
    """Return the statement that gives padded steps a value."""
    return writer.give(code("torch.where({}.unsqueeze(1), {}, {})", writer.mask, writer.x, value))


def added_steps(window: nodes.Window, steps: int | None) -> tuple[int, int] | None:
    """Return the number of steps that a window adds before and after, None if it is not fixed."""
    if window.padding == "same" and window.stride > 1 and steps is None:
        return None
    return window.added(steps or 1)


def own_padding(window: nodes.Window, steps: int | None) -> int:
    """Return the padding that a module of PyTorch can add itself: the same at both ends.

    A pool adds at most half a window: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html.
    """
    before, after = added_steps(window, steps) or (0, 0)
    fits = window.dilation > 1 or before <= window.size // 2
    return before if before == after and fits else 0


def pad(
    writer: LayerWriter,
    window: nodes.Window,
    steps: int | None,
    value: str = "",
    *,
    also: str = "",
) -> Iterator[Code]:
    """Yield the statements that add the steps of a window that no module adds itself.

    They are added to the variable ``also`` too, if there is one.
    """
    if not _needs_pad(window, steps):
        return
    added = added_steps(window, steps)
    # Not padding=size // 2, which is another number of steps if the size is even or with a stride.
    amount = code("(total // 2, total - total // 2)") if added is None else code("{!r}", added)
    if added is None:
        total = code("{!r} - ({}.shape[2] - 1) % {!r}", window.reach, writer.x, window.stride)
        if window.reach < window.stride - 1:
            total = code("max({}, 0)", total)
        yield code("total = {}", total)
    filling = code(", value={}", Code(value)) if value else Code()
    padded = "nn.functional.pad({}, {}{})"
    yield writer.give(code(padded, writer.x, amount, filling))
    if also:
        yield code("{} = {}", also, code(padded, also, amount, filling))


def _needs_pad(window: nodes.Window, steps: int | None) -> bool:
    """True if a window adds steps that no module adds itself."""
    added = added_steps(window, steps)
    return added is None or not added[0] == added[1] == own_padding(window, steps)


def pool_max(writer: LayerWriter, layer: nodes.WindowPooling) -> Iterator[Code]:
    """Yield the statements that take the maximum of the real steps of each window."""
    if layer.masked:
        yield fill_padding(writer, code("-torch.inf"))
    yield from pad(writer, layer.window, layer.input[0], "-torch.inf")
    yield writer.call(layer.name)
    if layer.masked:
        yield code("# A window of padding alone gives zeros.")
        yield writer.give(code("{x}.masked_fill({x} == -torch.inf, 0.0)", x=writer.x))


def pool_average(writer: LayerWriter, layer: nodes.WindowPooling) -> Iterator[Code]:
    """Yield the statements that take the mean of the real steps of each window."""
    window, steps = layer.window, layer.input[0]
    if not layer.masked and not _needs_pad(window, steps):
        yield writer.call(layer.name)
        return
    yield code("# Only the real steps of a window count.")
    if layer.masked:
        yield code("real = {}.unsqueeze(1).to({}.dtype)", writer.mask, writer.x)
        yield fill_padding(writer, code("0"))
    else:
        yield code("real = torch.ones_like({}[:1, :1])", writer.x)
    yield from pad(writer, window, steps, also="real")
    yield writer.call(layer.name)
    yield code("share = self.{}(real)", writer.attribute(layer.name))
    # The share is 0 in a window of padding alone, and so is the mean of its zeros.
    least = code(".clamp(min={!r})", 1 / window.size) if layer.masked else Code()
    yield writer.give(code("{} / share{}", writer.x, least))


_BATCH_NORM_INIT = code("""
    def __init__(self, num_features: int, *, eps: float, momentum: float) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.empty(num_features))
        self.bias = nn.Parameter(torch.empty(num_features))
        self.register_buffer("running_mean", torch.empty(num_features))
        self.register_buffer("running_var", torch.empty(num_features))
""")
_FUSED = code("""
    # With a momentum of 1, PyTorch's function stores the statistics of this batch.
    mean, variance = torch.zeros_like(mean), torch.zeros_like(variance)
    count = x.numel() / x.shape[1]
    if count == 1:
        # The function refuses a single value; twice that has the same mean, and variance 0.
        x = torch.cat([x, x])
    x = nn.functional.batch_norm(
        x, mean, variance, weight, bias, training=True, momentum=1.0, eps=eps
    )
    self.running_mean.lerp_(mean, 1 - self.momentum)
    self.running_var.lerp_(variance * ((count - 1) / count), 1 - self.momentum)
    return x[:1] if count == 1 else x
""")
_MASKED = """
    real = mask.unsqueeze(1)
    steps = mask.sum().clamp(min=1)
    mean = torch.where(real, x, 0).sum(dim=(0, 2)) / steps
    centred = torch.where(real, x - mean.unsqueeze(-1), 0)
    variance = centred.square().sum(dim=(0, 2)) / steps
    with torch.no_grad():
        self.running_mean.lerp_(mean, 1 - self.momentum)
        self.running_var.lerp_(variance, 1 - self.momentum)
    {end}
"""


_ALL_SCALED = code("""
    scale = weight / torch.sqrt(variance + eps)
    return centred * scale.unsqueeze(-1) + bias.unsqueeze(-1)
""")
_SOME_SCALED = code("""
    x = centred / torch.sqrt(variance + eps).unsqueeze(-1)
    if weight is not None:
        x = x * weight.unsqueeze(-1)
    if bias is not None:
        x = x + bias.unsqueeze(-1)
    return x
""")


def batch_norm_class(layers: Sequence[nodes.BatchNorm]) -> Code:
    """Return the class of batch norms in training, given all of them."""
    masked = {layer.masked for layer in layers}
    are_scaled = all(layer.scale and layer.offset for layer in layers)
    of_real_steps = code(_MASKED, end=_ALL_SCALED if are_scaled else _SOME_SCALED)
    steps = Code(", over real steps" if True in masked else "")
    if masked == {False}:
        argument, body = Code(), _FUSED
    elif masked == {True}:
        argument, body = code(", mask: torch.Tensor"), of_real_steps
    else:
        argument = code(", mask: torch.Tensor | None = None")
        body = code(
            """
            if mask is None:
                {}
            {}
            """,
            _FUSED,
            of_real_steps,
        )
    return code(
        '''
        class BatchNorm(nn.Module):
            """A batch norm of (batch, features[, steps]){steps}.

            ``nn.BatchNorm1d`` stores the unbiased variance of a batch. This stores the biased one,
            by which it divides. ``momentum`` is the share of the old value that is kept.
            """

            running_mean: torch.Tensor
            running_var: torch.Tensor

            {init}

            def forward(self, x: torch.Tensor{argument}) -> torch.Tensor:
                """Return the input, normalized by the statistics of the batch in training."""
                mean, variance = self.running_mean, self.running_var
                weight, bias, eps = self.weight, self.bias, self.eps
                if not self.training:
                    return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)
                {body}
        ''',
        steps=steps,
        init=_BATCH_NORM_INIT,
        argument=argument,
        body=body,
    )

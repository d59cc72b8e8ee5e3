"""The source of classes that run a recurrent layer step by step, where no stock layer can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnspec.backends.docstrings import RETURNS, recurrent_docstring
from rnnspec.backends.torch.plan import plan_of
from rnnspec.ir.cells import gates
from rnnspec.ir.nodes import LSTM
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, lines, listed

if TYPE_CHECKING:
    from rnnspec.backends.torch.classes import CellClass

_SUMMARIES = {
    "RNN": "A simple layer run step by step, with arrays named as in ``nn.RNN``.",
    "LSTM": "An LSTM run step by step, with arrays named and laid out as in ``nn.LSTM``.",
    "GRU": "A GRU run step by step, with arrays named and laid out as in ``nn.GRU``.",
    "ResetFirstGRU": "A GRU with the reset gate before the product, and arrays as in ``nn.GRU``.",
}
_TYPES = {
    "activation": code("Callable[[torch.Tensor], torch.Tensor]"),
    "recurrent_activation": code("Callable[[torch.Tensor], torch.Tensor]"),
    "dropout": code("float"),
    "recurrent_dropout": code("float"),
    "return_sequences": code("bool"),
}


def stepwise_class(class_: CellClass) -> Code:
    """Return the source of a class that runs a recurrent layer as a loop over the steps."""
    layer = class_.first
    summary = _SUMMARIES[cell_name(layer.cell)]
    return code(
        """
        class {}(nn.Module):
            {}

            {}

            {}
        """,
        class_.name,
        recurrent_docstring(summary, layer, drops_input=class_.drops_input),
        _init(class_),
        _forward(class_),
    )


def _init(class_: CellClass) -> Code:
    layer = class_.first
    signature = code("def __init__(self, input_size: int, hidden_size: int) -> None:")
    if class_.options:
        signature = code(
            """
            def __init__(
                self,
                input_size: int,
                hidden_size: int,
                *,
                {}
            ) -> None:
            """,
            lines(code("{}: {},", option, _TYPES[option]) for option in class_.options),
        )
    count = len(gates(layer.cell))
    rows = code("hidden_size") if count == 1 else code("{!r} * hidden_size", count)
    biases = ("bias_ih_l0", "bias_hh_l0") if cell_name(layer.cell) == "GRU" else ("bias_ih_l0",)
    return code(
        """
        {signature}
            super().__init__()
            {options}
            self.weight_ih_l0 = nn.Parameter(torch.empty({rows}, input_size))
            self.weight_hh_l0 = nn.Parameter(torch.empty({rows}, hidden_size))
            {biases}
        """,
        signature=signature,
        options=lines(code("self.{} = {}", option, option) for option in class_.options),
        rows=rows,
        biases=lines(
            code("self.{} = nn.Parameter(torch.empty({}))", bias, rows)
            for bias in (biases if layer.bias else ())
        ),
    )


def _forward(class_: CellClass) -> Code:
    loop = _LOOPS[cell_name(class_.first.cell)](class_)
    kind = "with_state" if _is_stepped(class_) else class_.sequences
    real_steps = outputs = append = Code()
    if class_.first.masked:
        real_steps = code("""
            # Padded steps are computed and discarded; the state does not depend on them.
            real_steps = mask.unsqueeze(-1).unbind(1)
        """)
    if kind != "none":
        outputs, append = code("outputs = []"), code("outputs.append(h)")
    return code(
        """
        {signature}
            {docstring}
            {inputs}
            {start}
            {real_steps}
            {outputs}
            {opening}
                {step}
                {append}
            {result}
        """,
        signature=_signature(class_),
        docstring=RETURNS[kind],
        inputs=_inputs(class_),
        start=loop.start,
        real_steps=real_steps,
        outputs=outputs,
        opening=loop.opening,
        step=loop.step,
        append=append,
        result=_result(class_),
    )


def _is_stepped(class_: CellClass) -> bool:
    """Return true if the class takes the state before a chunk, and returns that after it."""
    return plan_of(class_.first).form == "step"


def _is_by_gate(class_: CellClass) -> bool:
    """Return true if in training each gate has its own mask on the state, so its own product."""
    return class_.first.recurrent_dropout > 0 and len(gates(class_.first.cell)) > 1


def _signature(class_: CellClass) -> Code:
    if _is_stepped(class_):
        name, type_ = "h", code("torch.Tensor")
        if isinstance(class_.first.cell, LSTM):
            name, type_ = "state", code("tuple[torch.Tensor, torch.Tensor]")
        return code(
            """
            def forward(
                self,
                x: torch.Tensor,
                {mask}
                {name}: {type},
            ) -> tuple[torch.Tensor, {type}]:
            """,
            mask=code("mask: torch.Tensor,") if class_.first.masked else Code(),
            name=name,
            type=type_,
        )
    if class_.first.masked:
        return code("def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:")
    return code("def forward(self, x: torch.Tensor) -> torch.Tensor:")


def _inputs(class_: CellClass) -> Code:
    """Return the product of the input with its kernel, for all steps, and the masks of gates."""
    bias = "self.bias_ih_l0" if class_.first.bias else ""
    product = code("x = nn.functional.linear({})", listed("x", "self.weight_ih_l0", bias))
    if not _is_by_gate(class_):
        dropped = code("x = variational_dropout(x, self.dropout, self.training)")
        return lines(dropped, product) if class_.drops_input else product
    count = len(gates(class_.first.cell))
    if not class_.drops_input:
        shares = code("steps = x.view(*x.shape[:2], {!r}, units).permute(1, 2, 0, 3)", count)
    elif class_.first.bias:
        shares = code(
            """
            arrays = zip(self.weight_ih_l0.chunk({count!r}), self.bias_ih_l0.chunk({count!r}))
            shares = [
                nn.functional.linear(variational_dropout(x, self.dropout, True), *each)
                for each in arrays
            ]
            steps = torch.stack(shares).permute(2, 0, 1, 3)
            """,
            count=count,
        )
    else:
        shares = code(
            """
            shares = [
                variational_dropout(x, self.dropout, True) @ weight.T
                for weight in self.weight_ih_l0.chunk({!r})
            ]
            steps = torch.stack(shares).permute(2, 0, 1, 3)
            """,
            count,
        )
    return code(
        """
        {before}
        units = self.weight_hh_l0.shape[1]
        if self.training:
            # One mask per gate needs one product per gate: a step is (gates, batch, units).
            {shares}
            weight = self.weight_hh_l0.view({count!r}, units, units).transpose(1, 2)
            keep = steps.new_ones(steps.shape[1:])
            keep = nn.functional.dropout(keep, self.recurrent_dropout)
        else:
            {inside}
            steps, weight = x.transpose(0, 1), self.weight_hh_l0.T
        axis = 0 if self.training else 1
        """,
        before=Code() if class_.drops_input else product,
        shares=shares,
        count=count,
        inside=product if class_.drops_input else Code(),
    )


def _result(class_: CellClass) -> Code:
    if _is_stepped(class_):
        is_lstm = isinstance(class_.first.cell, LSTM)
        return code(
            """
            state = {}
            return torch.stack(outputs).transpose(0, 1), state
            """,
            code("h.unsqueeze(0), c.unsqueeze(0)" if is_lstm else "h.unsqueeze(0)"),
        )
    if _is_by_gate(class_):
        outputs = code("return torch.stack(outputs).flatten(1, -2).transpose(0, 1)")
        return choose_result(class_.sequences, outputs, code("return h.flatten(0, -2)"))
    outputs = code("return torch.stack(outputs).transpose(0, 1)")
    return choose_result(class_.sequences, outputs, code("return h"))


def choose_result(sequences: str, outputs: Code, last: Code) -> Code:
    """Return the end of a method whose class returns ``all``, ``some`` or ``none`` of sequences."""
    if sequences == "some":
        return code(
            """
            if self.return_sequences:
                {}
            {}
            """,
            outputs,
            last,
        )
    return outputs if sequences == "all" else last


@dataclass(frozen=True, slots=True)
class _Loop:
    """The loop of a cell: what precedes it, its first line, and a step, which updates ``h``."""

    start: Code
    opening: Code
    step: Code


def _rnn(class_: CellClass) -> _Loop:
    keep, state = Code(), "h"
    if class_.first.recurrent_dropout > 0:
        keep = code("""
            keep = torch.ones_like(h)
            keep = nn.functional.dropout(keep, self.recurrent_dropout, self.training)
        """)
        state = "kept"
    new = _activate(class_, "activation", code("torch.addmm(step, {}, weight)", state))
    if class_.first.masked:
        new_state = code(
            """
            new = {}
            h = torch.where(real, new, h)
            """,
            new,
        )
    else:
        new_state = code("h = {}", new)
    return _Loop(
        start=lines(
            code("weight = self.weight_hh_l0.T"),
            _first_state(class_, code("weight.shape[0]")),
            keep,
        ),
        opening=_for(class_, step=code("x.unbind(1)")),
        step=lines(code("kept = h * keep if self.training else h") if keep else keep, new_state),
    )


def _lstm(class_: CellClass) -> _Loop:
    if _is_by_gate(class_):
        start = code("h = c = steps.new_zeros(x.shape[0], units)")
        steps, axis = code("steps.unbind()"), code("axis")
    else:
        zeros = code("h = c = x.new_zeros(x.shape[0], weight.shape[0])")
        before = code("h, c = state[0][0], state[1][0]")
        start = lines(
            code("weight = self.weight_hh_l0.T"), before if _is_stepped(class_) else zeros
        )
        steps, axis = code("x.unbind(1)"), code("1")
    return _Loop(
        start=start,
        opening=_for(class_, step=steps),
        step=code(
            """
            {gates}
            # One call is faster than three; the candidate's part is not used.
            i, f, _, o = {activated}.unsafe_chunk(4, {axis})
            g = {candidate}
            c = {c}
            h = {h}
            """,
            gates=_product(class_, "gates", x="step", h="h", weight="weight", keep="keep"),
            activated=_activate(class_, "recurrent_activation", "gates"),
            axis=axis,
            candidate=_activate(class_, "activation", code("gates.unsafe_chunk(4, {})[2]", axis)),
            c=_new_state(class_, "c", code("torch.addcmul(f * c, i, g)")),
            h=_new_state(class_, "h", code("o * {}", _activate(class_, "activation", "c"))),
        ),
    )


def _gru(class_: CellClass) -> _Loop:
    if _is_by_gate(class_):
        start = code("h = steps.new_zeros(x.shape[0], units)")
        bias = code(
            "bias = self.bias_hh_l0.view(3, 1, units) if self.training else self.bias_hh_l0"
        )
        steps, axis = code("steps.unbind()"), code("axis")
        unbiased = code("gates = (h * keep if self.training else h) @ weight")
    else:
        start = lines(
            code("weight = self.weight_hh_l0.T"), _first_state(class_, code("weight.shape[0]"))
        )
        bias = code("bias = self.bias_hh_l0")
        steps, axis = code("x.unbind(1)"), code("1")
        unbiased = code("gates = h @ weight")
    biased = _product(class_, "gates", x="bias", h="h", weight="weight", keep="keep")
    return _Loop(
        start=lines(start, bias if class_.first.bias else Code()),
        opening=_for(class_, step=steps),
        step=code(
            """
            {gates}
            x_r, x_z, x_n = step.unsafe_chunk(3, {axis})
            h_r, h_z, h_n = gates.unsafe_chunk(3, {axis})
            r = {r}
            z = {z}
            n = {n}
            h = {h}
            """,
            gates=biased if class_.first.bias else unbiased,
            axis=axis,
            r=_activate(class_, "recurrent_activation", code("x_r + h_r")),
            z=_activate(class_, "recurrent_activation", code("x_z + h_z")),
            n=_activate(class_, "activation", code("torch.addcmul(x_n, r, h_n)")),
            h=_new_state(class_, "h", code("torch.lerp(n, h, z)")),
        ),
    )


def _reset_first_gru(class_: CellClass) -> _Loop:
    reset = code("r * h")
    if _is_by_gate(class_):
        start = code("""
            sizes = [2, 1] if self.training else [2 * units, units]
            x_rz, x_n = steps.split_with_sizes(sizes, axis + 1)
            w_rz, w_n = weight.split_with_sizes(sizes, axis)
            if self.training:
                keep_rz, keep_n = keep.split_with_sizes(sizes)
            h = steps.new_zeros(x.shape[0], units)
        """)
        axis = code("axis")
        activated = _activate(class_, "activation", "n")
        candidate = lines(
            _product(class_, "n", x="step_n", h=reset, weight="w_n", keep="keep_n"),
            code("n = {}", activated) if activated != "n" else Code(),
        )
    else:
        start = code(
            """
            units = self.weight_hh_l0.shape[1]
            sizes = [2 * units, units]
            x_rz, x_n = x.transpose(0, 1).split_with_sizes(sizes, 2)
            w_rz, w_n = self.weight_hh_l0.T.split_with_sizes(sizes, 1)
            {}
            """,
            _first_state(class_, "units"),
        )
        axis = code("1")
        product = code("torch.addmm(step_n, {}, w_n)", reset)
        candidate = code("n = {}", _activate(class_, "activation", product))
    return _Loop(
        start=start,
        opening=_for(class_, step_rz=code("x_rz.unbind()"), step_n=code("x_n.unbind()")),
        step=code(
            """
            {gates}
            r, z = {activated}.unsafe_chunk(2, {axis})
            {candidate}
            h = {h}
            """,
            gates=_product(class_, "gates", x="step_rz", h="h", weight="w_rz", keep="keep_rz"),
            activated=_activate(class_, "recurrent_activation", "gates"),
            axis=axis,
            candidate=candidate,
            h=_new_state(class_, "h", code("torch.lerp(n, h, z)")),
        ),
    )


_LOOPS = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru, "ResetFirstGRU": _reset_first_gru}


def _first_state(class_: CellClass, units: Code | str) -> Code:
    if _is_stepped(class_):
        return code("h = h[0]")
    return code("h = x.new_zeros(x.shape[0], {})", units)


def _for(class_: CellClass, **iterables: Code) -> Code:
    """Return the first line of a loop over one or more iterables, and the mask if there is one."""
    if class_.first.masked:
        iterables["real"] = code("real_steps")
    if len(iterables) == 1:
        return code("for {} in {}:", *iterables, *iterables.values())
    return code("for {} in zip({}):", listed(*iterables), listed(*iterables.values()))


def _activate(class_: CellClass, key: str, value: Code | str) -> Code:
    """Return a value after an activation; the linear one has no function."""
    function = class_.activation(key)
    return code("{}({})", function, value) if function else code("{}", value)


def _new_state(class_: CellClass, state: str, value: Code) -> Code:
    """Return the value of a state after a step; at padding, it stays."""
    return code("torch.where(real, {}, {})", value, state) if class_.first.masked else value


def _product(class_: CellClass, target: str, **operands: Code | str) -> Code:
    """Return the sum of ``x`` and the product of ``h`` with ``weight``; ``keep`` is h's mask."""
    if _is_by_gate(class_):
        return code(
            """
            if self.training:
                {target} = torch.baddbmm({x}, {h} * {keep}, {weight})
            else:
                {target} = torch.addmm({x}, {h}, {weight})
            """,
            target=target,
            **operands,
        )
    return code("{target} = torch.addmm({x}, {h}, {weight})", target=target, **operands)

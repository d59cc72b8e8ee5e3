"""The source of classes that run a recurrent layer step by step, where no stock layer can."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ATTENDS, RETURNS, recurrent_docstring
from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.slots import gate_order
from rnnspec.ir.cells import activations, equations, gates, has_recurrent_bias
from rnnspec.ir.equations import Elementwise, Line, Name, interpolation, walk
from rnnspec.ir.nodes import LSTM
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    gates_of,
    most_common_function,
    packed_schedule,
)
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, docstring, lines, listed
from rnnspec.source.expressions import ExpressionWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    summary = _SUMMARIES[cell_name(layer.standard_cell)]
    return code(
        """
        class {}(nn.Module):
            {}

            {}

            {}
        """,
        class_.name,
        docstring([summary, "", ATTENDS])
        if layer.attention
        else recurrent_docstring(summary, layer, drops_input=class_.drops_input),
        _init(class_),
        _forward(class_),
    )


def _init(class_: CellClass) -> Code:
    layer = class_.first
    signature = code("def __init__(self, input_size: int, hidden_size: int) -> None:")
    options = [code("{}: {}", option, _TYPES[option]) for option in class_.options]
    options += (code("{}: {}", name, type_) for name, type_ in class_.modules.items())
    if options:
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
            lines(code("{},", option) for option in options),
        )
    count = len(gates(layer.standard_cell))
    rows = code("hidden_size") if count == 1 else code("{!r} * hidden_size", count)
    biases = (
        ("bias_ih_l0", "bias_hh_l0") if has_recurrent_bias(layer.standard_cell) else ("bias_ih_l0",)
    )
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
        options=lines(
            code("self.{} = {}", option, option) for option in (*class_.options, *class_.modules)
        ),
        rows=rows,
        biases=lines(
            code("self.{} = nn.Parameter(torch.empty({}))", bias, rows)
            for bias in (biases if layer.bias else ())
        ),
    )


def _forward(class_: CellClass) -> Code:
    loop = _Loop(class_)
    kind = "with_state" if _has_states(class_) else class_.sequences
    real_steps = outputs = append = Code()
    if class_.first.masked:
        real_steps = code("""
            # Padded steps are computed and discarded; the state does not depend on them.
            real_steps = mask.unsqueeze(-1).unbind(1)
        """)
    if kind != "none":
        outputs, append = keep_outputs(class_, "h")
    return code(
        """
        {signature}
            {docstring}
            {inputs}
            {start}
            {real_steps}
            {outputs}
            {loop_head}
                {step}
                {append}
            {result}
        """,
        signature=_signature(class_),
        docstring=RETURNS["with_contexts" if class_.gives_contexts else kind],
        inputs=_inputs(class_),
        start=loop.start(),
        real_steps=real_steps,
        outputs=outputs,
        loop_head=loop.loop_head(),
        step=loop.step(),
        append=append,
        result=_result(class_),
    )


def keep_outputs(class_: CellClass, output: str) -> tuple[Code, Code]:
    """Return the statements that make lists, and append to them: of outputs, and of contexts."""
    variables = {"outputs": output} | ({"contexts": "context"} if class_.gives_contexts else {})
    start = lines(code("{} = []", name) for name in variables)
    return start, lines(code("{}.append({})", *item) for item in variables.items())


def _has_states(class_: CellClass) -> bool:
    """True if the class takes the state before the steps, and returns that after them."""
    return plan_of(class_.first).has_states


def _is_by_gate(class_: CellClass) -> bool:
    """True if in training each gate has its own mask on the state, so its own product."""
    return class_.first.recurrent_dropout > 0 and len(gates(class_.first.standard_cell)) > 1


def _signature(class_: CellClass) -> Code:
    if _has_states(class_):
        name, type_ = "h", code("torch.Tensor")
        if isinstance(class_.first.standard_cell, LSTM):
            name, type_ = "state", code("tuple[torch.Tensor, torch.Tensor]")
        return code(
            """
            def forward(
                self,
                x: torch.Tensor,
                {mask}
                {name}: {type},
                {memory}
            ) -> tuple[{returned}]:
            """,
            memory=lines(code("{}: torch.Tensor,", argument) for argument in class_.memory),
            returned=listed(*["torch.Tensor"] * (1 + class_.gives_contexts), type_),
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
    if class_.first.attention:
        return code(
            """
            # The product with x is one for all steps; that with a context is part of the step.
            features = x.shape[2]
            x = nn.functional.linear({})
            weight_context = self.weight_ih_l0[:, features:].T
            """,
            listed("x", code("self.weight_ih_l0[:, :features]"), bias),
        )
    product = code("x = nn.functional.linear({})", listed("x", "self.weight_ih_l0", bias))
    if not _is_by_gate(class_):
        dropped = code("x = variational_dropout(x, self.dropout, self.training)")
        return lines(dropped, product) if class_.drops_input else product
    count = len(gates(class_.first.standard_cell))
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
    flat = ".flatten(1, -2)" if _is_by_gate(class_) else ""
    if _has_states(class_):
        states = equations(class_.first.standard_cell).states
        last = ".flatten(0, -2)" if flat else ""
        keep, returned = write_outputs(class_, flat)
        return code(
            """
            {}
            state = {}
            return {}
            """,
            keep,
            listed(*(code(f"{{}}{last}.unsqueeze(0)", state) for state in states)),
            listed(*returned, "state"),
        )
    if flat:
        outputs = code("return torch.stack(outputs).flatten(1, -2).transpose(0, 1)")
        return choose_result(class_.sequences, outputs, code("return h.flatten(0, -2)"))
    outputs = code("return torch.stack(outputs).transpose(0, 1)")
    return choose_result(class_.sequences, outputs, code("return h"))


def write_outputs(class_: CellClass, flat: str = "") -> tuple[Code, list[Code]]:
    """Return what a class with states returns before them, behind a statement for a short line."""
    outputs = code(f"torch.stack(outputs){flat}.transpose(0, 1)")
    if not class_.gives_contexts:
        return Code(), [outputs]
    contexts = code("torch.stack(contexts).transpose(0, 1)")
    return code("x = {}", outputs), [code("x"), contexts]


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


class _Writer(ExpressionWriter):
    """Expressions, with the calls of PyTorch that compute several operations at once."""

    def idiom(self, expression: Elementwise) -> Code | None:
        if mixed := interpolation(expression):
            return code("torch.lerp({})", listed(*map(self.write, mixed)))
        match expression:
            case Elementwise("+", total, Elementwise("*", one, other)):
                return code("torch.addcmul({})", listed(*map(self.write, (total, one, other))))
            case _:
                return None


class _Loop:
    """The loop of a cell: what precedes it, its first line, and a step, which updates ``h``."""

    def __init__(self, class_: CellClass) -> None:
        cell, self.layer = class_.first.standard_cell, class_.first
        self.attend = class_.attend(code("h")) if self.layer.attention else Code()
        self.plan = packed_schedule(cell, bias=self.layer.bias, order=gate_order(cell))
        self.writer = _Writer({key: class_.activation(key) for key in activations(cell)})
        self.parts = [gates_of(product) for product in self.plan.products]
        self.activated = set[str]()
        self.is_by_gate, self.has_states = _is_by_gate(class_), _has_states(class_)
        self.axis = code("axis" if self.is_by_gate else "1")

    def start(self) -> Code:
        """Return the code before the loop: parts of the kernel, the first state, masks, biases."""
        by_gate, units = self.is_by_gate, code("units" if self.is_by_gate else "weight.shape[0]")
        before = after = Code()
        if len(self.parts) > 1:
            before, units = self._split_parts(), code("units")
        elif not by_gate:
            before = code("weight = self.weight_hh_l0.T")
        if self.plan.products[0].biases:
            bias = code("self.bias_hh_l0")
            if by_gate:
                shape = code("{!r}, 1, units", len(self.parts[0]))
                bias = code("{bias}.view({}) if self.training else {bias}", shape, bias=bias)
            after = code("bias = {}", bias)
        elif self.layer.recurrent_dropout > 0 and not by_gate:
            after = code("""
                keep = torch.ones_like(h)
                keep = nn.functional.dropout(keep, self.recurrent_dropout, self.training)
            """)
        states = self.plan.states
        if self.has_states:
            values = "h[0]" if len(states) == 1 else "state[0][0], state[1][0]"
            first = code(f"{', '.join(states)} = {values}")
        else:
            zeros = code("{}.new_zeros(x.shape[0], {})", "steps" if by_gate else "x", units)
            first = code(f"{' = '.join(states)} = {{}}", zeros)
        return lines(before, first, after)

    def _named(self, array: str) -> Code:
        return listed(*(f"{array}_{part}" for part in self.parts))

    def _split_parts(self) -> Code:
        """Return the parts of the input and of the kernel that each product takes."""
        counts = [str(len(part)) for part in self.parts]
        holes = {
            "counts": code(", ".join(counts)),
            "widths": code(", ".join(f"{count} * units" for count in counts).replace("1 * ", "")),
            **{array: self._named(array) for array in ("x", "w", "keep")},
        }
        if self.attend:
            return code(
                """
                units = self.weight_hh_l0.shape[1]
                sizes = [{widths}]
                {w} = self.weight_hh_l0.T.split_with_sizes(sizes, 1)
                """,
                **holes,
            )
        if self.is_by_gate:
            return code(
                """
                sizes = [{counts}] if self.training else [{widths}]
                {x} = steps.split_with_sizes(sizes, axis + 1)
                {w} = weight.split_with_sizes(sizes, axis)
                if self.training:
                    {keep} = keep.split_with_sizes(sizes)
                """,
                **holes,
            )
        return code(
            """
            units = self.weight_hh_l0.shape[1]
            sizes = [{widths}]
            {x} = x.transpose(0, 1).split_with_sizes(sizes, 2)
            {w} = self.weight_hh_l0.T.split_with_sizes(sizes, 1)
            """,
            **holes,
        )

    def loop_head(self) -> Code:
        """Return the first line of the loop."""
        if len(self.parts) > 1 and not self.attend:
            steps = {f"step_{part}": code("x_{}.unbind()", part) for part in self.parts}
        else:
            steps = {"step": code("steps.unbind()" if self.is_by_gate else "x.unbind(1)")}
        if self.layer.masked:
            steps["real"] = code("real_steps")
        if len(steps) == 1:
            return code("for {} in {}:", *steps, *steps.values())
        return code("for {} in zip({}):", listed(*steps), listed(*steps.values()))

    def step(self) -> Code:
        """Return the step."""
        statements = list(self._add_context() if self.attend else [])
        for statement in self.plan.step:
            match statement:
                case JoinedProduct():
                    # It is written with its sum.
                    pass
                case JoinedSum(slices=(_,)):
                    statements.append(self._write_separate_gates(statement))
                case JoinedSum():
                    statements.append(self._write_joined_gates(statement))
                case Line(name=name):
                    if name not in self.activated:
                        statements.append(self._line(statement))
                case _:
                    assert_never(statement)
        return lines(statements)

    def _add_context(self) -> Iterator[Code]:
        """Yield the statements that make the context, and add its product to that of x."""
        yield self.attend
        yield code("step = torch.addmm(step, context, weight_context)")
        if len(self.parts) > 1:
            yield code("{} = step.split_with_sizes(sizes, 1)", self._named("step"))

    def _line(self, line: Line) -> Code:
        name, value = line.name, self.writer.write(line.value)
        if name not in self.plan.states or not self.layer.masked:
            return code("{} = {}", name, value) if value != name else Code()
        # At padding, a state stays.
        names = (part.name for part in walk(line.value) if isinstance(part, Name))
        if any(name in self.writer.lines for name in names):
            new = code("new = {}", value)
            return lines(new, code("{name} = torch.where(real, new, {name})", name=name))
        return code("{name} = torch.where(real, {}, {name})", value, name=name)

    def _write_joined_gates(self, total: JoinedSum) -> Code:
        """Return the sum of what the input and the state make of gates, and their activations."""
        *_, product = self.plan.products_of(total)
        gates, writer, vector = gates_of(product), self.writer, self.writer.write(product.vector)
        part = f"_{gates}" if len(self.parts) > 1 else ""
        step, weight = f"step{part}", f"w{part}" if part else "weight"
        if len(gates) > 1:
            added = self._product("gates", step, vector, weight, f"keep{part}")
            chunks = code("gates.unsafe_chunk({!r}, {})", len(gates), self.axis)
            writer.lines |= {n: code("{}[{!r}]", chunks, at) for at, n in enumerate(total.names)}
            applied = self.plan.functions_of(total)
            function, _ = most_common_function(applied)
            lines_of = {name: line for name, (line, own) in applied.items() if own == function}
            self.activated.update(lines_of.values())
            names = [lines_of.get(name, "_") for name in total.names]
            why = code("# One call is faster than three; the candidate's part is not used.")
            activated = self._chunk(names, writer.activate(function, "gates"))
            return lines(added, why if "_" in names else Code(), activated)
        (name,) = total.names
        if self.is_by_gate:
            writer.lines[name] = code("{}", gates)
            return self._product(gates, step, vector, weight, f"keep{part}")
        is_dropped = self.layer.recurrent_dropout > 0
        vector = code("kept") if is_dropped else vector
        writer.lines[name] = code("torch.addmm({})", listed(step, vector, weight))
        return code("kept = h * keep if self.training else h") if is_dropped else Code()

    def _write_separate_gates(self, total: JoinedSum) -> Code:
        """Return the product of the state, and its gates and those of the input."""
        (product,) = self.plan.products_of(total)
        vector, gates = self.writer.write(product.vector), gates_of(product)
        if product.biases:
            text = self._product("gates", "bias", vector, "weight", "keep")
        else:
            dropped = code("({h} * keep if self.training else {h})", h=vector)
            text = code("gates = {} @ weight", dropped if self.is_by_gate else vector)
        (before,) = (part for part in self.plan.before if isinstance(part, JoinedSum))
        sides = list[Code]()
        for side, sums, value in (("x", before, "step"), ("h", total, "gates")):
            names = [f"{side}_{gate}" for gate in gates]
            self.writer.lines |= zip(sums.names, map(code, names), strict=True)
            sides.append(self._chunk(names, code(value)))
        return lines(text, *sides)

    def _chunk(self, names: Sequence[str], value: Code) -> Code:
        chunks = code("{}.unsafe_chunk({!r}, {})", value, len(names), self.axis)
        return code("{} = {}", listed(*names), chunks)

    def _product(self, target: str, x: str, h: Code, weight: str, keep: str) -> Code:
        """Return the sum of ``x`` and the product of ``h``, in training under its masks."""
        plain = code("{} = torch.addmm({})", target, listed(x, h, weight))
        if not self.is_by_gate:
            return plain
        return code(
            """
            if self.training:
                {target} = torch.baddbmm({x}, {h} * {keep}, {weight})
            else:
                {plain}
            """,
            target=target,
            x=x,
            h=h,
            keep=keep,
            weight=weight,
            plain=plain,
        )

"""The source of classes that run a cell of a spec's own equations step by step."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import reduce
from textwrap import wrap
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ATTENDS
from rnnspec.backends.torch.expressions import FUNCTIONS, TensorWriter
from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.recurrent import choose_result, keep_outputs, write_outputs
from rnnspec.backends.torch.slots import attributes
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.equations import (
    INPUT,
    Elementwise,
    Line,
    Name,
    Product,
    Size,
)
from rnnspec.ir.notation import describe
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    Slice,
    most_common_function,
    schedule,
    targets,
)
from rnnspec.source.code import Code, code, docstring, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.torch.classes import CellClass
    from rnnspec.ir.equations import Expression
    from rnnspec.ir.schedule import Statement

_TYPES = {"recurrent_dropout": "float", "return_sequences": "bool"}


def equation_class(class_: CellClass) -> Code:
    """Return the source of a class that runs a cell as a loop over the steps."""
    cell, method = class_.cell, _Forward(class_)
    forward, names = method.write(), attributes(class_.cell)
    states = (f"{name} ({dict(cell.equations.shapes)[name][0]})" for name in cell.equations.states)
    description = [
        f"The cell {cell.name}, run step by step.",
        "",
        *describe(cell.equations, 80),
        "",
        *wrap(f"States: {', '.join(states)}.", 80, subsequent_indent="    "),
    ]
    if class_.first.attention:
        description += ["", ATTENDS]
    if class_.first.recurrent_dropout:
        description += ["", "In training, a sequence has one mask for each matrix of a state."]
    sizes = ["features", "units", *(names[name] for name, _ in cell.sizes)]
    arguments = [code("{}: int", size) for size in sizes]
    options = [code("{}: {}", option, _TYPES[option]) for option in class_.options]
    options += (code("{}: {}", name, type_) for name, type_ in class_.modules.items())
    if options:
        arguments += [Code("*"), *options]
    stored = [size for size in sizes if size in method.sizes_in_use]
    return code(
        """
        class {name}(nn.Module):
            {docstring}

            def __init__(self, {arguments}) -> None:
                super().__init__()
                {stored}
                {parameters}

            {forward}
        """,
        name=class_.name,
        docstring=docstring(description),
        arguments=listed(*arguments),
        stored=lines(
            code("self.{name} = {name}", name=name)
            for name in (*stored, *class_.options, *class_.modules)
        ),
        parameters=lines(
            code(
                "self.{} = nn.Parameter(torch.empty({}))",
                names[name],
                listed(*(_write_sizes([size], names) for size in shape)) or Code("()"),
            )
            for name, shape in cell.equations.parameters
        ),
        forward=forward,
    )


def _write_sizes(sizes: Sequence[Size], names: Mapping[str, str], owner: str = "") -> Code:
    """Return the sum of sizes as Python: ``2 * units + features``."""
    counts = Counter[str]()
    for term in " + ".join(sizes).split(" + "):
        *factor, name = term.split(" * ")
        number = int(factor[0]) if factor else 1
        counts["" if name.isdigit() else name] += number * (int(name) if name.isdigit() else 1)
    terms = [
        code("{}{}{}", Code(f"{count} * " if count > 1 else ""), Code(owner), names[name])
        for name, count in counts.items()
        if name
    ]
    return Code(" + ".join([*terms, *([code("{!r}", counts[""])] if counts[""] else [])]))


class _Forward:
    """The method that runs the cell over all steps: what precedes the loop, and a step.

    ``pieces`` are the values of the slices of joined products, and ``sizes_in_use`` the sizes that
    the method reads from the module.
    """

    def __init__(self, class_: CellClass) -> None:
        self.class_, self.layer, self.cell = class_, class_.first, class_.cell
        self.attends, self.drops = bool(self.layer.attention), self.layer.recurrent_dropout > 0
        # The input of a cell with attention has a context, which is known in the step.
        self.plan = schedule(guard_branches(self.cell.equations), attends=self.attends)
        self.states = [attributes(self.cell)[name] for name in self.cell.equations.states]
        statements = (*self.plan.constants, *self.plan.before, *self.plan.step)
        self.writer = TensorWriter(self.cell, [n for s in statements for n in targets(s)])
        self.writer.constants |= {line.name for line in self.plan.constants}
        self.pieces: dict[Slice, Expression] = {}
        self.products: dict[str, Product] = {}
        self.weights: dict[tuple[Expression, ...], str] = {}
        self.weights_of_masks: dict[str, str] = {}
        self.sizes_in_use: set[str] = set()
        self.activated: set[str] = set()

    def write(self) -> Code:
        """Return the method."""
        writer = self.writer
        before = lines(map(self._statement, (*self.plan.constants, *self.plan.before)))
        products = [s for s in self.plan.step if isinstance(s, JoinedProduct)]
        weights = lines(map(self._prepare_product, products))
        writer.before |= {name for s in self.plan.before for name in targets(s)}
        writer.is_step = True
        if self.layer.masked:
            for state, name in zip(self.cell.equations.states, self.states, strict=True):
                writer.new_states[state] = writer.new(f"new_{name}")
        step = lines(map(self._statement, self.plan.step))
        if self.attends:
            step = lines(self._attend(), step)
        parts = {part: code("{}.unbind(1)", whole) for whole, part in writer.steps.items()}
        real_steps = Code()
        if self.layer.masked:
            parts["real"] = code("real_steps")
            real_steps = code("""
                # Padded steps are computed and discarded; the state does not depend on them.
                real_steps = mask.unsqueeze(-1).unbind(1)
            """)
        steps = listed(*parts.values())
        outputs = append = Code()
        if self.class_.sequences != "none":
            outputs, append = keep_outputs(self.class_, self.states[0])
        return code(
            """
            {signature}
                {docstring}
                {before}
                {weights}
                {variables}
                {start}
                {real_steps}
                {outputs}
                for {parts} in {steps}:
                    {step}
                    {keep}
                    {append}
                {result}
            """,
            signature=self._signature(),
            docstring=self._docstring(),
            before=before,
            weights=weights,
            variables=lines(code("{name} = self.{name}", name=name) for name in writer.variables),
            start=Code() if self._has_states else self._start(),
            real_steps=real_steps,
            outputs=outputs,
            parts=listed(*parts),
            steps=code("zip({})", steps) if len(parts) > 1 else steps,
            step=step,
            keep=lines(self._keep_states()),
            append=append,
            result=self._result(),
        )

    def _attend(self) -> Code:
        """Return the statements that put the context of a step behind its input."""
        return code(
            """
            {attend}
            {x} = torch.cat([{x}, context], dim=-1)
            """,
            attend=self.class_.attend(code("{}", self.states[0])),
            x=self.writer.write(Name(INPUT, "input")),
        )

    @property
    def _has_states(self) -> bool:
        """True if the class takes the states before the steps, and returns those after them."""
        return plan_of(self.layer).has_states

    def _signature(self) -> Code:
        arguments, result = ["x", *(["mask"] if self.layer.masked else [])], code("torch.Tensor")
        if self._has_states:
            arguments += (*self.states, *self.class_.memory)
            count = 1 + self.class_.gives_contexts + len(self.states)
            result = code("tuple[{}]", listed(*[result] * count))
        typed = listed(*(code("{}: torch.Tensor", name) for name in arguments))
        return code("def forward(self, {}) -> {}:", typed, result)

    def _docstring(self) -> Code:
        size, sequences = (
            dict(self.cell.equations.shapes)[self.cell.equations.states[0]][0],
            self.class_.sequences,
        )
        outputs, last = f"the outputs, (batch, steps, {size})", f"the last state, (batch, {size})"
        if self.class_.gives_contexts:
            contexts = "the outputs and the contexts, (batch, steps, ...)"
            return docstring([f"Return {contexts}, and each state after them."])
        if self._has_states:
            return docstring([f"Return {outputs}, and each state after them."])
        results = {"all": outputs, "some": f"{outputs}, or {last}", "none": last}
        return docstring([f"Return {results[sequences]}."])

    def _start(self) -> Code:
        """Return the first states, which are zeros."""
        shapes, by_size = dict(self.cell.equations.shapes), dict[Size, list[str]]()
        for state, variable in zip(self.cell.equations.states, self.states, strict=True):
            by_size.setdefault(shapes[state][0], []).append(variable)
        return lines(
            code(f"{' = '.join(states)} = x.new_zeros(x.shape[0], {{}})", self._size([size]))
            for size, states in by_size.items()
        )

    def _size(self, sizes: Sequence[Size]) -> Code:
        """Return a sum of sizes, which are attributes."""
        names = attributes(self.cell)
        for name in re.findall(r"[A-Za-z]\w*", " ".join(sizes)):
            self.sizes_in_use.add(names[name])
        return _write_sizes(sizes, names, "self.")

    def _result(self) -> Code:
        outputs = code("torch.stack(outputs).transpose(0, 1)")
        if self._has_states:
            keep, returned = write_outputs(self.class_)
            return lines(keep, code("return {}", listed(*returned, *self.states)))
        last = code("return {}", self.states[0])
        return choose_result(self.class_.sequences, code("return {}", outputs), last)

    def _statement(self, statement: Statement) -> Code:
        match statement:
            case JoinedProduct() if self.writer.is_step:
                return self._multiply_state(statement)
            case JoinedProduct():
                return self._multiply_steps(statement)
            case JoinedSum():
                return self._add(statement)
            case Line():
                return self._assign(statement)
            case _:
                assert_never(statement)

    def _assign(self, line: Line) -> Code:
        if line.name in self.activated:
            return Code()
        name, value = self.writer.names[line.name], self.writer.write(line.value)
        if line.name in self.cell.equations.states:
            name = self.writer.new_states.get(line.name, name)
            value = self.writer.batched(line.value)
        return code("{} = {}", name, value) if value != name else Code()

    def _keep_states(self) -> Iterator[Code]:
        """Yield the statements that keep each state at padding."""
        # At the end of the step: a new state may follow from another new one only.
        for state, new in self.writer.new_states.items():
            name = self.writer.names[state]
            yield code("{name} = torch.where(real, {}, {name})", new, name=name)

    def _multiply_steps(self, product: JoinedProduct) -> Code:
        """Return the product with the vectors of all steps, and the parts of it that sums take."""
        bias = Code()
        if product.biases:
            sizes = zip(product.biases, product.sizes, strict=True)
            bias = self._join(part or size for part, size in sizes)
        vector, weight = self.writer.write(product.vector), self._join(product.matrices)
        arguments = listed(vector, weight, bias)
        total = code("{} = nn.functional.linear({})", product.name, arguments)
        return lines(total, self._split(product))

    def _join(self, arrays: Iterable[Expression | Size]) -> Code:
        """Return arrays one after the other, zeros where only a size is there."""
        texts = [
            code("x.new_zeros({})", self._size([array]))
            if isinstance(array, str)
            else self.writer.write(array)
            for array in arrays
        ]
        return code("torch.cat([{}])", listed(*texts)) if len(texts) > 1 else texts[0]

    def _split(self, product: JoinedProduct) -> Code:
        """Return the statement that splits a product into the parts that sums take, if any does."""
        slices = self.plan.slices_of(product.name)
        if len(slices) == 1:
            self.pieces[slices[0]] = Name(product.name, "line")
            return Code()
        label = _label(product)
        names = [self.writer.new(f"{label}_{number}") for number, _ in enumerate(slices, 1)]
        if not self.writer.is_step:
            self.writer.before.update(names)
        self.pieces |= {part: Name(name, "line") for name, part in zip(names, slices, strict=True)}
        sizes = [product.sizes[part.start : part.stop] for part in slices]
        return code("{} = {}", listed(*names), self._chunk(code("{}", product.name), sizes))

    def _chunk(self, value: Code, sizes: Sequence[Sequence[Size]]) -> Code:
        """Return the parts of a value, which have these sizes."""
        # Not chunk in the loop: autograd would watch each part for changes in place.
        kind, axis = ("unsafe_", "1") if self.writer.is_step else ("", "-1")
        if len(set(map(tuple, sizes))) == 1:
            return code(f"{{}}.{kind}chunk({{!r}}, {axis})", value, len(sizes))
        widths = listed(*map(self._size, sizes))
        return code(f"{{}}.{kind}split_with_sizes([{{}}], {axis})", value, widths)

    def _prepare_product(self, product: JoinedProduct) -> Code:
        """Return the weight of a product in the loop, transposed, and in training its masks."""
        label, count = _label(product), len(product.matrices)
        weight, made = self.weights.get(product.matrices), Code()
        if weight is None:
            weight = self.weights[product.matrices] = self.writer.new(f"{label}_weight")
            is_simple = count > 1 or isinstance(product.matrices[0], Name)
            array = code("{}" if is_simple else "({})", self._join(product.matrices))
            made = code("{} = {}.T", weight, array)
        vector = product.vector
        if self.drops:
            keep, rows = self.writer.new(f"{label}_keep"), code("{}.shape[0]", weight)
            number = code("{!r}", count) if count > 1 else Code()
            made = code(
                """
                {made}
                {keep} = x.new_ones({shape})
                {keep} = nn.functional.dropout({keep}, self.recurrent_dropout, self.training)
                """,
                made=made,
                keep=keep,
                shape=listed(number, code("x.shape[0]"), rows),
            )
            vector = Elementwise("*", vector, Name(keep, "line"))
        # Vectors are rows.
        self.products[product.name] = Product(vector, Name(weight, "line"))
        if not self.drops or count == 1:
            return made
        weights = self.writer.new(f"{label}_weights")
        self.weights_of_masks[product.name] = weights
        parts = self._chunk(code("{}", weight), [[size] for size in product.sizes])
        return lines(made, code("{} = {}", weights, parts))

    def _multiply_state(self, product: JoinedProduct) -> Code:
        """Return the product with a vector of the step, if it is a statement of its own."""
        value, whole = self.products[product.name], Slice(product.name, 0, len(product.matrices))
        if weights := self.weights_of_masks.get(product.name):
            # One mask for each matrix needs one product for each.
            text = code(
                """
                if self.training:
                    kept = ({masked}).unbind()
                    {name} = torch.cat([v @ w for v, w in zip(kept, {weights})], 1)
                else:
                    {name} = {plain}
                """,
                masked=self.writer.write(value.matrix),
                name=product.name,
                weights=weights,
                plain=self.writer.write(replace(value, matrix=product.vector)),
            )
        elif self.plan.slices_of(product.name) == [whole]:
            self.pieces[whole] = value
            return Code()
        else:
            text = code("{} = {}", product.name, self.writer.write(value))
        return lines(text, self._split(product))

    def _add(self, total: JoinedSum) -> Code:
        """Return the sum of products, split into its parts, unless it stands where it is used."""
        pieces = [self.pieces[part] for part in total.slices]
        # Products last, because a call adds one to what is there.
        pieces.sort(key=lambda piece: isinstance(piece, Product))
        value = reduce(lambda one, other: Elementwise("+", one, other), pieces)
        if len(total.names) > 1:
            return self._add_several(total, value)
        (name,) = total.names
        if self.writer.is_step or isinstance(value, Name) or name not in self.plan.inputs:
            self.writer.inlined[name] = value
            return Code()
        return code("{} = {}", name, self.writer.write(value))

    def _add_several(self, total: JoinedSum, value: Expression) -> Code:
        """Return a sum split into its parts, under the function that most of them have."""
        names, sizes = list(total.names), [[size] for size in total.sizes]
        # Nothing is computed for the identity.
        applied = {n: by for n, by in self.plan.functions_of(total).items() if FUNCTIONS[by[1]]}
        function, count = most_common_function(applied)
        rest = [name for name in names if applied.get(name, ("", ""))[1] != function]
        is_named = isinstance(value, Name)
        gates = self.writer.write(value) if is_named else code("{}", self.writer.new("gates"))
        start = Code() if is_named else code("{} = {}", gates, self.writer.write(value))
        if count < 2 or len(rest) > 1 or (rest and len(set(total.sizes)) > 1):
            return lines(start, code("{} = {}", listed(*names), self._chunk(gates, sizes)))
        results = ["_" if name in rest else applied[name][0] for name in names]
        self.activated.update(name for name in results if name != "_")
        together = code(
            "{} = {}",
            listed(*(self.writer.names.get(name, name) for name in results)),
            self._chunk(self.writer.activate(function, gates), sizes),
        )
        if not rest:
            return lines(start, together)
        why = code("# One call is faster than several; one part is not used.")
        part = code("{}[{!r}]", self._chunk(gates, sizes), names.index(rest[0]))
        return lines(start, why, together, code("{} = {}", rest[0], part))


def _label(product: JoinedProduct) -> str:
    return product.name.replace("_product", "")

"""The source of classes that run a cell step by step, where no stock layer can.

A standard cell has its parameters packed in arrays that are named and laid out as in ``nn.LSTM``,
``nn.GRU`` and ``nn.RNN``, and takes and returns its states as these do. A cell of a spec's own
equations has an array for each parameter.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import reduce
from textwrap import wrap
from typing import TYPE_CHECKING, assert_never

from rnnspec.backends.docstrings import ASKS, ATTENDS, recurrent_docstring
from rnnspec.backends.torch.expressions import CALLS, FUNCTIONS, TensorWriter
from rnnspec.backends.torch.plan import plan_of
from rnnspec.backends.torch.slots import attributes, gate_order, packed_array
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.cells import activations, equations, gates, place
from rnnspec.ir.equations import INPUT, Elementwise, Line, Name, Product, Size, walk
from rnnspec.ir.nodes import EquationCell
from rnnspec.ir.notation import describe
from rnnspec.ir.schedule import (
    JoinedProduct,
    JoinedSum,
    ProductSlice,
    most_common_function,
    packed_schedule,
    schedule,
    targets,
)
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, code, docstring, lines, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.backends.torch.classes import CellClass
    from rnnspec.ir.equations import Expression
    from rnnspec.ir.schedule import Schedule, Statement

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
    """Return the source of a class that runs a cell as a loop over the steps."""
    method = _Forward(class_)
    forward, names = method.write(), method.names
    own = [names[name] for name, _ in class_.sizes]
    sizes = [names["features"], names["units"], *own]
    arguments = [code("{}: int", size) for size in sizes]
    options = [code("{}: {}", option, _TYPES[option]) for option in class_.options]
    options += (code("{}: {}", name, type_) for name, type_ in class_.modules.items())
    if options:
        arguments += [Code("*"), *options]
    stored = [size for size in sizes if size in method.sizes_in_use and not method.order]
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
        docstring=_describe(class_),
        arguments=listed(*arguments),
        stored=lines(
            code("self.{name} = {name}", name=name)
            for name in (*stored, *class_.options, *class_.modules)
        ),
        parameters=lines(
            code(
                "self.{} = nn.Parameter(torch.empty({}))",
                name,
                listed(*(_write_sizes([size], names) for size in shape)) or Code("()"),
            )
            for name, shape in _arrays(class_, names).items()
        ),
        forward=forward,
    )


def _describe(class_: CellClass) -> Code:
    """Return the docstring of a class."""
    layer, cell = class_.first, class_.first.cell
    if not isinstance(cell, EquationCell):
        summary = _SUMMARIES[cell_name(cell)]
        if layer.attention:
            return docstring([summary, "", ATTENDS])
        return recurrent_docstring(summary, layer, drops_input=class_.drops_input)
    states = (f"{name} ({dict(cell.equations.shapes)[name][0]})" for name in cell.equations.states)
    description = [
        f"The cell {cell.name}, run step by step.",
        "",
        *describe(cell.equations, 80),
        "",
        *wrap(f"States: {', '.join(states)}.", 80, subsequent_indent="    "),
    ]
    if layer.attention:
        name = layer.attention.asked_as
        description += ["", ASKS.format(name) if name else ATTENDS]
    if layer.recurrent_dropout:
        description += ["", "In training, a sequence has one mask for each matrix of a state."]
    return docstring(description)


def _arrays(class_: CellClass, names: Mapping[str, str]) -> dict[str, tuple[Size, ...]]:
    """Return the shape of each array of a class by its attribute."""
    cell, layer = class_.first.cell, class_.first
    parameters = equations(cell, bias=layer.bias).parameters
    if isinstance(cell, EquationCell):
        return {names[name]: shape for name, shape in parameters}
    count = len(gates(cell))
    packed = {packed_array(place(name)[0]): shape[1:] for name, shape in parameters}
    return {
        packed_array(array): (f"{count} * units" if count > 1 else "units", *packed[name])
        for array in _IN_ORDER
        if (name := packed_array(array)) in packed
    }


_IN_ORDER = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")


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


def _keep_outputs(class_: CellClass, output: str) -> tuple[Code, Code]:
    """Return the statements that make lists, and append to them: of outputs, and of contexts."""
    variables = {"outputs": output} | ({"contexts": "context"} if class_.gives_contexts else {})
    start = lines(code("{} = []", name) for name in variables)
    return start, lines(code("{}.append({})", *item) for item in variables.items())


def _write_outputs(class_: CellClass, flat: str) -> tuple[Code, list[Code]]:
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


class _Forward:
    """The method that runs the cell over all steps: what precedes the loop, and a step.

    ``pieces`` are the values of the slices of joined products, and ``sizes_in_use`` the sizes that
    the method reads from the module.
    """

    def __init__(self, class_: CellClass) -> None:
        self.class_, self.layer, cell = class_, class_.first, class_.first.cell
        self.equations = equations(cell, bias=self.layer.bias)
        self.drops = self.layer.recurrent_dropout > 0
        self.order, self.is_by_gate, functions = "", False, dict(FUNCTIONS)
        if isinstance(cell, EquationCell):
            self.names = attributes(cell)
        else:
            self.order = gate_order(cell)
            # In training each gate has its own mask on the state, so its own product.
            self.is_by_gate = self.drops and len(self.order) > 1
            functions |= {key: class_.activation(key) for key in activations(cell)}
            lines_of = dict.fromkeys((INPUT, *dict(self.equations.shapes)))
            self.names = {name: name for name in lines_of}
            self.names |= {"units": "hidden_size", "features": "input_size"}
        self.plan = self._schedule()
        self.before, self.step = list(self.plan.before), list(self.plan.step)
        # The input of a cell with attention has a context, which is known in the step.
        self.attends_behind = bool(self.layer.leading) and bool(self.before)
        if self.attends_behind:
            self.step, self.before = [*self.before[1:], *self.step], self.before[:1]
        self.states = [self.names[name] for name in self.equations.states]
        statements = (*self.plan.constants, *self.plan.once, *self.before, *self.step)
        scheduled = [name for statement in statements for name in targets(statement)]
        parameters = {} if self.order else dict(self.equations.parameters)
        self.writer = TensorWriter(self.names, parameters, functions, scheduled)
        if self.layer.attention:
            self.writer.calls = replace(CALLS, attend=class_.asking)
        self.writer.constants |= {line.name for line in self.plan.constants}
        self.pieces: dict[ProductSlice, Expression] = {}
        self.products: dict[str, Product] = {}
        self.biases: dict[str, Name] = {}
        self.weights: dict[tuple[Expression, ...], str] = {}
        self.weights_of_masks: dict[str, str] = {}
        self.masked: dict[str, Expression] = {}
        self.sizes_in_use: set[str] = set()
        self.activated: set[str] = set()

    def _schedule(self) -> Schedule:
        """Return the schedule, in which a context is part of a step only if it has to be."""
        cell = self.layer.cell
        if not isinstance(cell, EquationCell):
            return packed_schedule(cell, bias=self.layer.bias, order=self.order)
        guarded = guard_branches(cell.equations)
        plan = schedule(guarded, mixes=True)
        if not self.layer.leading or _takes_products_of_input(plan):
            return plan
        return schedule(guarded, attends=True, mixes=True)

    def write(self) -> Code:
        """Return the method."""
        writer = self.writer
        if self.order:
            self._name_sums()
        constants = lines(map(self._statement, self.plan.constants))
        writer.is_once = True
        once = lines(map(self._statement, self.plan.once))
        writer.once |= {name for s in self.plan.once for name in targets(s)}
        writer.is_once = False
        before = lines(constants, once, lines(map(self._statement, self.before)))
        products = [s for s in self.step if isinstance(s, JoinedProduct)]
        weights = lines(map(self._prepare_product, products))
        writer.before |= {name for s in self.before for name in targets(s)}
        writer.is_step = True
        if self.layer.masked:
            for state, name in zip(self.equations.states, self.states, strict=True):
                writer.new_states[state] = writer.new(f"new_{name}")
        attend = self._attend() if self.layer.leading else Code()
        step = lines(attend, *map(self._statement, self.step))
        unbind = "{}.unbind()" if self.is_by_gate else "{}.unbind(1)"
        parts = {part: code(unbind, whole) for whole, part in writer.steps.items()}
        real_steps = Code()
        if self.layer.masked:
            parts["real"] = code("real_steps")
            real_steps = code("""
                # Padded steps are computed and discarded; the state does not depend on them.
                real_steps = mask.unsqueeze(-1).unbind(1)
            """)
        steps, start = listed(*parts.values()), self._start()
        outputs = append = Code()
        if self._has_states or self.class_.sequences != "none":
            outputs, append = _keep_outputs(self.class_, self.states[0])
        return code(
            """
            {signature}
                {docstring}
                {units}
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
            units=code("units = self.weight_hh_l0.shape[1]") if self._reads_units else Code(),
            before=before,
            weights=weights,
            variables=lines(code("{name} = self.{name}", name=name) for name in writer.variables),
            start=start,
            real_steps=real_steps,
            outputs=outputs,
            parts=listed(*parts),
            steps=code("zip({})", steps) if len(parts) > 1 else steps,
            step=step,
            keep=lines(self._keep_states()),
            append=append,
            result=self._result(),
        )

    @property
    def _reads_units(self) -> bool:
        return bool(self.order and self.sizes_in_use)

    def _name_sums(self) -> None:
        """Give the parts of a product that is not added up as a whole its name and their gate's."""
        for total in (*self.before, *self.step):
            if isinstance(total, JoinedSum) and len(total.slices) == 1:
                (product,) = self.plan.products_of(total)
                gates_of_product = self._gates(product.matrices)
                for name, gate in zip(total.names, gates_of_product, strict=True):
                    self.writer.names[name] = f"{_label(product)}_{gate}"

    def _gates(self, matrices: Iterable[Expression]) -> str:
        """Return the gates of packed parameters, in their order."""
        return "".join(place(m.name)[1] for m in matrices if isinstance(m, Name))

    def _attend(self) -> Code:
        """Return the statements that make the context of a step, and give it to the cell."""
        attend = self.class_.attend(code("{}", self.states[0]))
        if not self.attends_behind:
            x = self.writer.write(Name(INPUT, "input"))
            return lines(attend, code("{x} = torch.cat([{x}, context], dim=-1)", x=x))
        (product,) = (s for s in self.before if isinstance(s, JoinedProduct))
        x = self.writer.write(Name(product.name, "line"))
        added = code("{x} = torch.addmm({x}, context, context_weight)", x=x)
        return lines(attend, added, self._split(product))

    @property
    def _has_states(self) -> bool:
        """True if the class takes the states before the steps, and returns those after them."""
        return plan_of(self.layer).has_states

    def _state(self) -> tuple[list[str], list[Code]]:
        """Return the names and the types of the arguments that are states.

        Those of a packed cell are one, as in the stock layers.
        """
        tensor = code("torch.Tensor")
        if not self.order or len(self.states) == 1:
            return self.states, [tensor] * len(self.states)
        return ["state"], [code("tuple[{}]", listed(*[tensor] * len(self.states)))]

    def _signature(self) -> Code:
        tensor = code("torch.Tensor")
        arguments = {"x": tensor, **({"mask": tensor} if self.layer.masked else {})}
        result = tensor
        if self._has_states:
            names, types = self._state()
            arguments |= zip(names, types, strict=True)
            arguments |= dict.fromkeys(self.class_.memory, tensor)
            result = code("tuple[{}]", listed(*[tensor] * (1 + self.class_.gives_contexts), *types))
        typed = listed(*(code("{}: {}", *argument) for argument in arguments.items()))
        return code("def forward(self, {}) -> {}:", typed, result)

    def _docstring(self) -> Code:
        size, sequences = (
            dict(self.equations.shapes)[self.equations.states[0]][0],
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
        """Return the first states: zeros, or those of stock layers without their first axis."""
        if self._has_states:
            if not self.order:
                return Code()
            taken = "h[0]" if len(self.states) == 1 else "state[0][0], state[1][0]"
            return code("{} = {}", listed(*self.states), Code(taken))
        shapes, by_size = dict(self.equations.shapes), dict[Size, list[str]]()
        for state, variable in zip(self.equations.states, self.states, strict=True):
            by_size.setdefault(shapes[state][0], []).append(variable)
        # Under autocast, the states of a standard cell have the dtype of its products.
        like = targets(self.before[0])[0] if self.order else "x"
        return lines(
            code(f"{' = '.join(states)} = {like}.new_zeros(x.shape[0], {{}})", self._size([size]))
            for size, states in by_size.items()
        )

    def _size(self, sizes: Sequence[Size]) -> Code:
        """Return a sum of sizes, which are attributes, or follow from the arrays."""
        if self.order:
            self.sizes_in_use.update(sizes)
            return _write_sizes(sizes, {"units": "units"})
        for name in re.findall(r"[A-Za-z]\w*", " ".join(sizes)):
            self.sizes_in_use.add(self.names[name])
        return _write_sizes(sizes, self.names, "self.")

    def _result(self) -> Code:
        flat = ".flatten(1, -2)" if self.is_by_gate else ""
        last = [code("{}{}", s, Code(".flatten(0, -2)" if flat else "")) for s in self.states]
        if not self._has_states:
            outputs = code("return torch.stack(outputs){}.transpose(0, 1)", Code(flat))
            return choose_result(self.class_.sequences, outputs, code("return {}", last[0]))
        keep, returned = _write_outputs(self.class_, flat)
        if not self.order:
            return lines(keep, code("return {}", listed(*returned, *last)))
        state = listed(*(code("{}.unsqueeze(0)", value) for value in last))
        return lines(keep, code("state = {}", state), code("return {}", listed(*returned, "state")))

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
        if line.name in self.equations.states:
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
        vector, weight = self.writer.write(product.vector), self._join(product.matrices)
        bias = self._bias(product)
        if self.attends_behind:
            return code(
                """
                # The product with x is one for all steps; that with a context is part of the step.
                features = x.shape[2]
                {label}_weight = {weight}
                {name} = nn.functional.linear({arguments})
                context_weight = {label}_weight[:, features:].T
                """,
                label=_label(product),
                weight=weight,
                name=product.name,
                arguments=listed(vector, code("{}_weight[:, :features]", _label(product)), bias),
            )
        total = code("{} = nn.functional.linear({})", product.name, listed(vector, weight, bias))
        if self.is_by_gate:
            return lines(self._lay_out_by_gate(product, total), self._split(product))
        drop = Code()
        if self.class_.drops_input:
            drop = code("x = variational_dropout(x, self.dropout, self.training)")
        return lines(drop, total, self._split(product))

    def _lay_out_by_gate(self, product: JoinedProduct, total: Code) -> Code:
        """Return the product with x, whose first axis is that of steps, in training by gate."""
        count, units = code("{!r}", len(product.matrices)), self._size(["units"])
        why = code("""
            # One mask per gate needs one product per gate: a step is (gates, batch, units).
        """)
        if not self.class_.drops_input:
            return code(
                """
                {total}
                if self.training:
                    {why}
                    {name} = {name}.view(*x.shape[:2], {count}, {units}).permute(1, 2, 0, 3)
                else:
                    {name} = {name}.transpose(0, 1)
                axis = 0 if self.training else 1
                """,
                total=total,
                why=why,
                name=product.name,
                count=count,
                units=units,
            )
        weights, bias = self._join(product.matrices), self._bias(product)
        arrays = code("{}.chunk({})", weights, count)
        one = code("nn.functional.linear(variational_dropout(x, self.dropout, True), weight)")
        variables = code("weight")
        if bias:
            arrays = code("zip({}, {}.chunk({}))", arrays, bias, count)
            one = code("nn.functional.linear(variational_dropout(x, self.dropout, True), *arrays)")
            variables = code("arrays")
        return code(
            """
            if self.training:
                {why}
                products = [
                    {one}
                    for {variables} in {arrays}
                ]
                {name} = torch.stack(products).permute(2, 0, 1, 3)
            else:
                {total}
                {name} = {name}.transpose(0, 1)
            axis = 0 if self.training else 1
            """,
            why=why,
            one=one,
            variables=variables,
            arrays=arrays,
            name=product.name,
            total=total,
        )

    def _bias(self, product: JoinedProduct) -> Code:
        """Return the bias of a product, zeros where a part has none, or nothing."""
        if not product.biases:
            return Code()
        sizes = zip(product.biases, product.sizes, strict=True)
        return self._join([part or size for part, size in sizes])

    def _join(self, arrays: Sequence[Expression | Size]) -> Code:
        """Return arrays one after the other, zeros where only a size is there."""
        first = arrays[0]
        if self.order and isinstance(first, Name):
            array = packed_array(place(first.name)[0])
            start = self.order.index(place(first.name)[1])
            whole, stop = code("self.{}", array), start + len(arrays)
            if len(arrays) == len(self.order):
                return whole
            units = [self._size(["units"] * end) if end else Code() for end in (start, stop)]
            if stop == len(self.order):
                return code("{}[{} :]", whole, units[0])
            return code("{}[{}: {}]", whole, code("{} ", units[0]) if start else Code(), units[1])
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
        parts = [str(number) for number, _ in enumerate(slices, 1)]
        if self.order:
            parts = [self._gates(product.matrices[part.start : part.stop]) for part in slices]
        names = [self.writer.new(f"{_label(product)}_{part}") for part in parts]
        if self.writer.is_once:
            self.writer.once.update(names)
        elif not self.writer.is_step:
            self.writer.before.update(names)
        self.pieces |= {part: Name(name, "line") for name, part in zip(names, slices, strict=True)}
        sizes = [product.sizes[part.start : part.stop] for part in slices]
        whole = self.writer.write(Name(product.name, "line"))
        return code("{} = {}", listed(*names), self._chunk(whole, sizes))

    def _chunk(self, value: Code, sizes: Sequence[Sequence[Size]]) -> Code:
        """Return the parts of a value, which have these sizes."""
        # Not chunk in the loop: autograd would watch each part for changes in place.
        kind, axis = ("unsafe_", "1") if self.writer.is_step else ("", "-1")
        if self.is_by_gate:
            axis = "axis" if self.writer.is_step else "axis + 1"
        if len(set(map(tuple, sizes))) == 1:
            return code(f"{{}}.{kind}chunk({{!r}}, {axis})", value, len(sizes))
        widths = code("[{}]", listed(*map(self._size, sizes)))
        if self.is_by_gate:
            counts = listed(*(code("{!r}", len(part)) for part in sizes))
            widths = code("[{}] if self.training else {}", counts, widths)
        return code(f"{{}}.{kind}split_with_sizes({{}}, {axis})", value, widths)

    def _prepare_product(self, product: JoinedProduct) -> Code:
        """Return the weight of a product in the loop, transposed, its bias, and its masks."""
        label, count = _label(product), len(product.matrices)
        weight, made = self.weights.get(product.matrices), Code()
        if weight is None:
            weight = self.weights[product.matrices] = self.writer.new(f"{label}_weight")
            is_simple = count > 1 or isinstance(product.matrices[0], Name)
            array = code("{}" if is_simple else "({})", self._join(product.matrices))
            made = code("{} = {}.T", weight, array)
            if self.is_by_gate:
                made = code(
                    """
                    {weight}: torch.Tensor = {array}
                    if self.training:
                        {weight} = {weight}.view({count!r}, {units}, {units}).transpose(1, 2)
                    else:
                        {weight} = {weight}.T
                    """,
                    weight=weight,
                    array=array,
                    count=count,
                    units=self._size(["units"]),
                )
        if product.biases:
            bias = self.writer.new(f"{label}_bias")
            self.biases[product.name] = Name(bias, "line")
            array = self._bias(product)
            if self.is_by_gate:
                shape = code("{!r}, 1, {}", count, self._size(["units"]))
                array = code("{bias}.view({}) if self.training else {bias}", shape, bias=array)
            made = lines(made, code("{} = {}", bias, array))
        # Vectors are rows.
        self.products[product.name] = Product(product.vector, Name(weight, "line"))
        if not self.drops:
            return made
        keep, rows = self.writer.new(f"{label}_keep"), code("{}.shape[0]", weight)
        if self.is_by_gate:
            rows = self._size(["units"])
        number = code("{!r}", count) if count > 1 or self.is_by_gate else Code()
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
        masked = Elementwise("*", product.vector, Name(keep, "line"))
        self.masked[product.name] = masked
        if count == 1 or self.is_by_gate:
            return made
        weights = self.writer.new(f"{label}_weights")
        self.weights_of_masks[product.name] = weights
        parts = self._chunk(code("{}", weight), [[size] for size in product.sizes])
        return lines(made, code("{} = {}", weights, parts))

    def _multiply_state(self, product: JoinedProduct) -> Code:
        """Return the product with a vector of the step, if it is a statement of its own."""
        value, whole = (
            self.products[product.name],
            ProductSlice(product.name, 0, len(product.matrices)),
        )
        masked, start = self.masked.get(product.name), Code()
        if self.is_by_gate:
            # It is written with its sum.
            return Code()
        if weights := self.weights_of_masks.get(product.name):
            assert masked is not None
            # One mask for each matrix needs one product for each.
            text = code(
                """
                if self.training:
                    kept = ({masked}).unbind()
                    {name} = torch.cat([v @ w for v, w in zip(kept, {weights})], 1)
                else:
                    {name} = {plain}
                """,
                masked=self.writer.write(masked),
                name=product.name,
                weights=weights,
                plain=self.writer.write(value),
            )
            return lines(text, self._split(product))
        if masked is not None:
            kept, vector = self.writer.new(f"{_label(product)}_kept"), product.vector
            plain = self.writer.write(vector)
            start = code("{} = {} if self.training else {}", kept, self.writer.write(masked), plain)
            value = replace(value, matrix=Name(kept, "line"))
        if self.plan.slices_of(product.name) == [whole]:
            bias = self.biases.get(product.name)
            self.pieces[whole] = Elementwise("+", bias, value) if bias else value
            return start
        text = code("{} = {}", product.name, self.writer.write(value))
        return lines(start, text, self._split(product))

    def _add(self, total: JoinedSum) -> Code:
        """Return the sum of products, split into its parts, unless it stands where it is used."""
        if self.is_by_gate and self.writer.is_step:
            return self._add_by_gate(total)
        pieces = [self.pieces[part] for part in total.slices]
        # Products last, because a call adds one to what is there.
        pieces.sort(key=lambda piece: isinstance(piece, Product))
        value = reduce(lambda one, other: Elementwise("+", one, other), pieces)
        if len(total.names) > 1:
            is_named = isinstance(value, Name)
            gates = self.writer.write(value) if is_named else code("{}", self.writer.new("gates"))
            start = Code() if is_named else code("{} = {}", gates, self.writer.write(value))
            return lines(start, self._split_sum(total, gates))
        (name,) = total.names
        taken = (*self.plan.inputs, *self.plan.repeated)
        if self.writer.is_step or isinstance(value, Name) or name not in taken:
            self.writer.inlined[name] = value
            return Code()
        return code("{} = {}", name, self.writer.write(value))

    def _add_by_gate(self, total: JoinedSum) -> Code:
        """Return a sum with a product of the state, in training under the mask of each gate."""
        *added, product = self.plan.products_of(total)
        value, masked = self.products[product.name], self.masked[product.name]
        pieces = [self.pieces[part] for part in total.slices[: len(added)]]
        pieces += [self.biases[product.name]] if product.name in self.biases else []
        first = listed(*map(self.writer.write, pieces))
        weight, vector = self.writer.write(value.vector), self.writer.write(value.matrix)
        is_one = len(total.names) == 1
        target = self.writer.names[total.names[0]] if is_one else self.writer.new("gates")
        by_gate = code("{}", "baddbmm" if first else "bmm")
        plain = code("{}", "addmm" if first else "mm")
        text = code(
            """
            if self.training:
                {target} = torch.{by_gate}({masked})
            else:
                {target} = torch.{plain}({vector})
            """,
            target=target,
            by_gate=by_gate,
            masked=listed(first, self.writer.write(masked), weight),
            plain=plain,
            vector=listed(first, vector, weight),
        )
        return text if is_one else lines(text, self._split_sum(total, code("{}", target)))

    def _split_sum(self, total: JoinedSum, gates: Code) -> Code:
        """Return a sum split into its parts, under the function that most of them have."""
        names, sizes = list(total.names), [[size] for size in total.sizes]
        variables = [self.writer.names[name] for name in names]
        functions = self.writer.functions
        # Nothing is computed for the identity.
        applied = {n: by for n, by in self.plan.functions_of(total).items() if functions[by[1]]}
        function, count = most_common_function(applied)
        rest = [name for name in names if applied.get(name, ("", ""))[1] != function]
        if count < 2 or len(rest) > 1 or (rest and len(set(total.sizes)) > 1):
            return code("{} = {}", listed(*variables), self._chunk(gates, sizes))
        results = ["_" if name in rest else applied[name][0] for name in names]
        self.activated.update(name for name in results if name != "_")
        together = code(
            "{} = {}",
            listed(*(self.writer.names.get(name, name) for name in results)),
            self._chunk(self.writer.activate(function, gates), sizes),
        )
        if not rest:
            return together
        why = code("# One call is faster than several; one part is not used.")
        part = code("{}[{!r}]", self._chunk(gates, sizes), names.index(rest[0]))
        return lines(why, together, code("{} = {}", self.writer.names[rest[0]], part))


def _takes_products_of_input(plan: Schedule) -> bool:
    """True if a cell takes its input in one product for all steps, and nowhere else."""
    products = [s for s in plan.before if isinstance(s, JoinedProduct)]
    values = [
        statement.vector if isinstance(statement, JoinedProduct) else statement.value
        for statement in plan.statements
        if not isinstance(statement, JoinedSum)
    ]
    inputs = [part for value in values for part in walk(value) if part == Name(INPUT, "input")]
    return len(products) == len(inputs) == 1 and products[0].vector == inputs[0]


def _label(product: JoinedProduct) -> str:
    return product.name.replace("_product", "")

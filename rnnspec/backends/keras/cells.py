"""The source of classes of Keras for cells by equation, and the calls that make their layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, assert_never

from rnnspec.backends.keras.initial import make_initializer
from rnnspec.ir.branches import guard_branches
from rnnspec.ir.definition import define, usual_initializers
from rnnspec.ir.equations import (
    INPUT,
    Apply,
    ApplyToVector,
    Concat,
    Line,
    Name,
    Product,
    Transpose,
    attends_of,
    walk,
)
from rnnspec.ir.nodes import EquationCell, Network, Recurrent, cell_expressions
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, schedule, targets
from rnnspec.ir.shapes import size_names
from rnnspec.ir.text import cell_name
from rnnspec.source.code import Code, call, code, docstring, function, lines, listed, literal
from rnnspec.source.expressions import Calls, ExpressionWriter, local_names
from rnnspec.source.linebreaks import LINE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rnnspec.ir.equations import Expression, Size
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Layer
    from rnnspec.ir.schedule import ProductSlice, Statement
    from rnnspec.source.code import Literal

_WIDTH = 68
"""The most characters of an equation in a line."""
_FUNCTIONS: Mapping[str, str] = {
    **{
        name: f"keras.ops.{name}"
        for name in (
            *("tanh", "sigmoid", "relu", "hard_sigmoid", "softsign", "softplus", "elu", "selu"),
            *("silu", "exp", "log", "sqrt", "abs"),
        )
    },
    "linear": "",
    "legacy_hard_sigmoid": "legacy_hard_sigmoid",
}
_CALLS = Calls(
    bound="keras.ops.{}({}, {})",
    transpose="keras.ops.transpose({})",
    choose="keras.ops.where({}, {}, {})",
    softmax="keras.ops.softmax({}, axis=-1)",
    standardize="standardized({}, {!r})",
    concat="keras.ops.concatenate([{}], axis=-1)",
    part="keras.ops.split({}, {!r}, axis=-1)[{!r}]",
    reduce="keras.ops.{}({}, axis=-1, keepdims=True)",
    norm="keras.ops.sqrt(keras.ops.sum(keras.ops.square({}), axis=-1, keepdims=True) + {!r})",
    attend="attend({})",
    once="sequences[:, 0, {}]",
)
_FLAT = frozenset({"hard_sigmoid", "maximum", "minimum", "relu"})
"""The functions whose gradient is a product on TensorFlow or on JAX."""
ATTRIBUTES = frozenset(
    """
    T_destination activity_regularizer add_loss add_metric add_module add_variable add_weight apply
    autocast bfloat16 buffers build build_from_config built call call_signature_parameters
    call_super_init children compile compute_dtype compute_mask compute_output_shape
    compute_output_spec count_params cpu cuda double dtype dtype_policy dump_patches eval extra_repr
    float forward from_config get_buffer get_build_config get_config get_extra_state get_parameter
    get_submodule get_weights half input input_dtype input_spec ipu load_own_variables
    load_state_dict losses metrics metrics_variables modules mtia name named_buffers named_children
    named_modules named_parameters non_trainable_variables non_trainable_weights output parameters
    path quantization_mode quantize quantized_build quantized_call register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook rematerialized_call requires_grad_
    save_own_variables set_extra_state set_submodule set_weights share_memory state_dict
    stateless_call supports_jit supports_masking symbolic_call to to_empty torch_params train
    trainable trainable_variables trainable_weights training type variable_dtype variables weights
    xpu zero_grad
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
"""The attributes of every layer of Keras, on any engine."""
_RESERVED = ATTRIBUTES | frozenset(
    """
    attend batch begin cls config definition draw_masks dropout features initialize input_shape
    keras kwargs masked_products recurrent_dropout seed_generator self sequences shared standardized
    state_size states super units
    """.split()  # noqa: SIM905
)
"""Names in a class for a cell."""


_ASKING = code("Callable[[keras.KerasTensor], keras.KerasTensor]")


def attributes(cell: EquationCell) -> dict[str, str]:
    """Return the attribute or variable for each name of a cell's equations."""
    plan = schedule(guard_branches(cell.equations, _FLAT))
    labels = [s.label for s in plan.statements if isinstance(s, JoinedProduct)]
    own = {f"{label}_{what}" for label in labels for what in ("kernel", "bias", "masks")}
    own |= {f"{label}_part_{n}" for label in labels for n in range(len(plan.sizes))}
    own |= {size_argument(name) for name, _ in cell.sizes}
    return local_names(cell.equations, _RESERVED | own)


def cell_class(cell: EquationCell) -> str:
    """Return the name of the class of a cell by equation."""
    return f"{cell_name(cell)}Cell"


def cell_sizes(layer: Recurrent, cell: EquationCell) -> dict[str, int]:
    """Return the sizes beside its units that make a cell by equation."""
    sizes = " ".join(size for _, shape in cell.equations.shapes for size in shape).split()
    features = {"features": layer.features} if "features" in sizes else {}
    return features | dict(cell.sizes)


def size_argument(name: str) -> str:
    """Return the name of the argument and the attribute for a size."""
    return f"{name}_size" if name in _RESERVED - {"features", "units"} else name


def is_by_equation(layer: Layer) -> bool:
    """True if a layer has a cell by equation."""
    return isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell)


def parts_of_cells(network: Network, form: Form) -> Iterator[Code]:
    """Yield the functions and classes that the cells of a network need."""
    groups = dict[str, list[Recurrent]]()
    for layer in network.layers:
        if isinstance(layer, Recurrent) and isinstance(layer.cell, EquationCell):
            groups.setdefault(layer.cell.name, []).append(layer)
    if not groups:
        return
    expressions = list(cell_expressions(network))
    if any(isinstance(e, ApplyToVector) and e.function == "standardize" for e in expressions):
        yield _STANDARDIZED
    if any(layer.recurrent_dropout for layers in groups.values() for layer in layers):
        yield from (_DRAW_MASKS, _MASKED_PRODUCTS)
    # A layer with attention is of another class.
    if any(layer.attention is None for layers in groups.values() for layer in layers):
        yield code(_SHARING_RNN, package=network.name)
    for layers in groups.values():
        yield _CellClass(network.name, layers, form).write()


_SHARING_RNN = '''
    @keras.saving.register_keras_serializable(package={package!r})
    class SharingRNN(keras.layers.RNN):
        """A recurrent layer whose cell computes once what all steps share."""

        def inner_loop(
            self,
            sequences: keras.KerasTensor,
            initial_state: list[keras.KerasTensor],
            mask: keras.KerasTensor | None,
            training: bool = False,
        ) -> tuple[keras.KerasTensor, keras.KerasTensor, list[keras.KerasTensor]]:
            """Return the last output, all outputs and the last states."""
            sequences = self.cell.begin(sequences, training)
            results = super().inner_loop(sequences, initial_state, mask, training)
            self.cell.shared = None
            return results
'''
_STANDARDIZED = code('''
    def standardized(x: keras.KerasTensor, epsilon: float) -> keras.KerasTensor:
        """Return vectors with a mean of 0, and a variance of 1 but for epsilon."""
        centred = x - keras.ops.mean(x, axis=-1, keepdims=True)
        variance = keras.ops.mean(centred * centred, axis=-1, keepdims=True)
        return centred / keras.ops.sqrt(variance + epsilon)
''')
_DRAW_MASKS = code('''
    def draw_masks(
        cell: keras.layers.Layer, count: int, batch: int, size: int
    ) -> keras.KerasTensor:
        """Return masks of recurrent dropout for vectors of a size, (count, batch, size)."""
        ones = keras.ops.ones((count, batch, size), cell.compute_dtype)
        return keras.random.dropout(ones, cell.recurrent_dropout, seed=cell.seed_generator)
''')
_MASKED_PRODUCTS = code('''
    def masked_products(
        x: keras.KerasTensor, kernels: list[keras.KerasTensor], masks: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the products of x and each kernel, side by side, each with a mask of its own."""
        products = [keras.ops.matmul(x * masks[i], kernel) for i, kernel in enumerate(kernels)]
        return keras.ops.concatenate(products, axis=-1)
''')


class _CellWriter(ExpressionWriter):
    """The writer of expressions in Keras, where a matrix is stored transposed: (in, out).

    ``batched`` are the names of values with a batch; others are parameters, and what follows from
    them.
    """

    def __init__(self, lines: dict[str, Code], batched: frozenset[str]) -> None:
        super().__init__(_FUNCTIONS, lines, _CALLS)
        self.batched = batched

    def write(self, expression: Expression, binding: int = 0) -> Code:
        """Return an expression, in parentheses if its operator binds less."""
        match expression:
            case Product(matrix=matrix, vector=vector):
                return code("keras.ops.matmul({}, {})", self.write(vector), self.write(matrix))
            case Apply(operand=operand) if not _has_names(operand):
                return self.activate(expression.function, self.as_tensor(operand, operand))
            case _:
                return super().write(expression, binding)

    def activate(self, function: str, value: Code | str) -> Code:
        """Return a value under a function."""
        if function == "legacy_hard_sigmoid":
            return code("keras.ops.clip(0.2 * ({}) + 0.5, 0, 1)", value)
        return super().activate(function, value)

    def write_parts(self, whole: Concat) -> Iterator[Code]:
        """Yield the parts of a vector: of each sequence, if one of them is."""
        yield from map(self.batch if self._has_batch(whole) else self.write, whole.parts)

    def batch(self, vector: Expression) -> Code:
        """Return a vector for each sequence."""
        if self._has_batch(vector):
            return self.write(vector)
        zeros = code("keras.ops.zeros_like({}[:, :1])", self.lines[INPUT])
        return code("{} + {}", zeros, self.write(vector, 1))

    def _has_batch(self, expression: Expression) -> bool:
        parts = (part for part in walk(expression) if isinstance(part, Name))
        return any(part.name in self.batched for part in parts)

    def as_tensor(self, expression: Expression, beside: Expression) -> Code:
        """Return an expression, as a tensor if it is a number, which functions would round."""
        del beside
        text = self.write(expression)
        if _has_names(expression):
            return text
        return code("keras.ops.convert_to_tensor({}, self.compute_dtype)", text)


def _has_names(expression: Expression) -> bool:
    return any(isinstance(part, Name) for part in walk(expression))


class _CellClass:
    """The writer of the class of a cell, which all ``layers`` have.

    Keras's loop costs about as much for a wide input of its steps as for the product of a narrow
    one, so all products are in the step: before the loop, those with the input take 1.1 times as
    long in training on TensorFlow, and 2 times in inference on JAX (batch 32, 100 steps, 64 units).
    """

    def __init__(self, package: str, layers: Sequence[Recurrent], form: Form) -> None:
        self.package, self.layers, self.form = package, layers, form
        cell = layers[0].cell
        assert isinstance(cell, EquationCell)
        self.cell = cell
        self.schedule = schedule(guard_branches(cell.equations, _FLAT))
        self.parameters = cell.equations.parameters
        self.step = (*self.schedule.before, *self.schedule.step)
        statements = self.schedule.statements
        self.products = {s.name: s for s in statements if isinstance(s, JoinedProduct)}
        self.names = attributes(cell)
        self.sizes = cell_sizes(layers[0], cell)
        batched = {INPUT, *cell.equations.states}
        batched |= {name for statement in statements for name in targets(statement)}
        weights = dict(self.parameters)
        variables = {
            name: code("self.{}" if name in weights else "{}", text)
            for name, text in self.names.items()
        }
        self.writer = _CellWriter(variables, frozenset(batched))
        self.asks = any(attends_of(cell.equations))
        self.drops_input = any(layer.dropout for layer in layers)
        self.drops_states = any(layer.recurrent_dropout for layer in layers)

    def write(self) -> Code:
        """Return the class."""
        methods = self._init(), self._build(), self._begin(), self._call(), *self._config()
        return code(
            """
            @keras.saving.register_keras_serializable(package={!r})
            class {}(keras.layers.Layer):
                {}

                {}

                {}
            """,
            self.package,
            cell_class(self.cell),
            docstring([f"The cell {self.cell.name}; its equations are in ``definition``."]),
            self._definition(),
            Code("\n\n".join(filter(None, methods))),
        )

    def _definition(self) -> Code:
        """Return the attribute with all that a cell is read back from, without running code."""
        definition = define(self.cell, usual_initializers(self.cell.equations))
        initialize = definition.pop("initialize", {})
        texts = [
            "definition: ClassVar[dict[str, object]] = {",
            *_entries({"name": self.cell.name, **definition}, "    "),
            "}",
        ]
        if initialize and self.form == "training":
            texts += [
                "initialize: ClassVar[dict[str, object]] = {",
                *_entries(initialize, "    "),
                "}",
            ]
        return Code("\n".join(texts))

    def _options(self) -> Iterator[str]:
        if self.drops_input:
            yield "dropout"
        if self.drops_states:
            yield "recurrent_dropout"

    def _init(self) -> Code:
        options = [code("{}: float = 0.0", option) for option in self._options()]
        arguments = ("units", *map(size_argument, self.sizes))
        shapes = dict(self.cell.equations.shapes)
        sizes = [self._size(shapes[name][0]) for name in self.cell.equations.states]
        seeds = code("self.seed_generator = keras.random.SeedGenerator()")
        return function(
            code(
                "__init__({}) -> None",
                listed(
                    "self",
                    *(code("{}: int", name) for name in arguments),
                    *options,
                    code("**kwargs: object"),
                ),
            ),
            code("super().__init__(**kwargs)"),
            (code("self.{} = {}", name, name) for name in (*arguments, *self._options())),
            seeds if options else Code(),
            code("self.state_size = [{}]", listed(*sizes)),
        )

    def _build(self) -> Code:
        if not self.parameters:
            return Code()
        own = "features" in self.sizes
        shapes = [shape for _, shape in self.cell.equations.parameters]
        takes = any("features" in size_names(size) for shape in shapes for size in shape)
        return function(
            code("build(self, input_shape: tuple[int | None, ...]) -> None"),
            code("features = input_shape[-1]") if takes and not own else Code(),
            self._weights("self.features" if own else "features"),
        )

    def _weights(self, features: str) -> Iterator[Code]:
        initializers = dict(self.cell.initializers)
        for name, shape in self.cell.equations.parameters:
            sizes = [self._size(size, features=features) for size in shape[::-1]]
            text = code("({},)", sizes[0]) if len(sizes) == 1 else code("({})", listed(*sizes))
            options: dict[str, Code | Literal] = {"shape": text}
            if self.form == "training":
                options["initializer"] = make_initializer(initializers[name])
            weight = call("self.add_weight", _defaults=None, **options, name=name)
            yield code("self.{} = {}", self.names[name], weight)

    def _size(self, size: Size, *, features: str = "self.features", number: int = 1) -> Code:
        """Return a size, or a number of times that, in the sizes that are attributes."""
        terms = list[Code]()
        for term in size.split(" + "):
            *factor, name = term.split(" * ")
            own = features if name == "features" else f"self.{size_argument(name)}"
            text = Code(name if name.isdigit() else own)
            terms.append(code(f"{' * '.join(factor)} * {{}}" if factor else "{}", text))
        total = Code(" + ".join(terms))
        if number == 1:
            return total
        return code("{!r} * ({})" if len(terms) > 1 else "{!r} * {}", number, total)

    def _sum(self, sizes: Sequence[Size]) -> Code:
        """Return the sum of sizes."""
        numbers = {size: sizes.count(size) for size in sizes}
        return Code(" + ".join(self._size(size, number=n) for size, n in numbers.items()))

    def _variable(self, name: str) -> str:
        return self.names.get(name, name)

    def _begin(self) -> Code:
        """Return the method that computes what the variables in ``shared`` are."""
        drop = code(
            """
            if training:
                batch, _, features = keras.ops.shape(sequences)
                sequences = keras.random.dropout(
                    sequences, self.dropout, (batch, 1, features), self.seed_generator
                )
            """
        )
        shared = self._shared()
        return function(
            code("begin(self, sequences: keras.KerasTensor, training: bool) -> keras.KerasTensor"),
            drop if self.drops_input else Code(),
            (
                code("{} = {}", self._variable(line.name), self.writer.write(line.value))
                for line in self.schedule.constants
            ),
            *map(self._joined, self.products.values()),
            lines(self._masks()),
            lines(self._once()),
            _assign_tuple("self.shared", shared) if shared else Code(),
            code("return sequences"),
            describes=["Compute once what all steps share, and return the sequences."],
        )

    def _shared(self) -> list[str]:
        """Return the variables that ``begin`` computes and a step uses."""
        step = set(re.findall(r"\w+", lines(map(self._statement, self.step))))
        used = {name for statement in self.step for name in self._names_in(statement)}
        names = [line.name for line in self.schedule.constants if line.name in used]
        shared = [self._variable(name) for name in names]
        shared += [name for name in self._known_once() if name in step]
        for product in self.products.values():
            if product in self.schedule.once:
                continue
            label = product.label
            shared += [f"{label}_kernel"] if self._is_joined(product) else []
            shared += [f"{label}_bias"] if len(product.biases) > 1 else []
            shared += [f"{label}_masks"] if self._drops(product) else []
        return shared

    def _once(self) -> Iterator[Code]:
        """Yield the statements of what is the same at each step."""
        x, self.writer.lines[INPUT] = self.writer.lines[INPUT], code("sequences[:, 0]")
        yield from map(self._statement, self.schedule.once)
        self.writer.lines[INPUT] = x

    def _known_once(self) -> Iterator[str]:
        """Yield the variables that are assigned once for each sequence."""
        for statement in self.schedule.once:
            if isinstance(statement, JoinedProduct):
                # The product itself, if it is not split.
                yield from map(self._slice, self.schedule.slices_of(statement.name))
            else:
                yield from map(self._variable, targets(statement))

    @staticmethod
    def _names_in(statement: Statement) -> Iterator[str]:
        """Yield the names in a statement but those in arrays that are joined before."""
        values: tuple[Expression | None, ...]
        match statement:
            case JoinedSum():
                values = ()
            case Line(value=value):
                values = (value,)
            case JoinedProduct(vector=vector, biases=biases):
                values = (vector, *(biases if len(biases) == 1 else ()))
            case _:
                assert_never(statement)
        for whole in values:
            if whole is not None:
                yield from (part.name for part in walk(whole) if isinstance(part, Name))

    @staticmethod
    def _is_joined(product: JoinedProduct) -> bool:
        """True if the kernel of a product is made of one or more parameters."""
        return len(product.matrices) > 1 or not isinstance(product.matrices[0], Name)

    def _drops(self, product: JoinedProduct) -> bool:
        """True if in training the vector of a product has masks, because it is or has a state."""
        return self.drops_states and product in self.schedule.step

    def _joined(self, product: JoinedProduct) -> Code:
        """Return the statements that join the arrays of a product."""
        label, write = product.label, self.writer.write
        kernels = [write(matrix) for matrix in product.matrices]
        biases = [
            code("keras.ops.zeros(({},), self.compute_dtype)", self._size(size))
            if bias is None
            else write(bias)
            for bias, size in zip(product.biases, product.sizes, strict=False)
        ]
        kernel = _concatenate(kernels)
        return lines(
            code("{}_kernel = {}", label, kernel) if self._is_joined(product) else Code(),
            code("{}_bias = {}", label, _concatenate(biases)) if len(biases) > 1 else Code(),
        )

    def _masks(self) -> Iterator[Code]:
        """Yield the statements that draw the masks of states."""
        drawn = [product for product in self.products.values() if self._drops(product)]
        if not drawn:
            return
        draw = code("draw_masks(self, {{!r}}, keras.ops.shape(sequences)[0], {{}})")
        yield lines(code("{}_masks = None", product.label) for product in drawn)
        yield code(
            """
            if training:
                {}
            """,
            lines(
                code(
                    f"{{}}_masks = {draw}",
                    product.label,
                    len(product.matrices),
                    self._size(self._columns(product.matrices[0])),
                )
                for product in drawn
            ),
        )

    def _columns(self, matrix: Expression) -> Size:
        """Return the size of the vectors that a matrix multiplies."""
        shapes = dict(self.parameters)
        for part in walk(matrix):
            match part:
                case Transpose(matrix=Name(name=name)):
                    return shapes[name][0]
                case Name(name=name) if len(shapes[name]) == 2:
                    return shapes[name][1]
                case _:
                    pass
        raise AssertionError("a matrix is made of others")

    def _call(self) -> Code:
        equations = self.cell.equations
        parts = [part for line in equations.lines for part in walk(line.value)]
        read = {part.name for part in parts if isinstance(part, Name) and part.kind == "state"}
        before = [self._variable(name) if name in read else "_" for name in equations.states]
        after = [self._variable(name) for name in equations.states]
        shared = self._shared()
        return function(
            code(
                "call({}) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]",
                listed(
                    "self",
                    code("x: keras.KerasTensor"),
                    code("states: list[keras.KerasTensor]"),
                    code("attend: {}", _ASKING) if self.asks else Code(),
                ),
            ),
            code("{} = states", _tuple(before)) if read else Code(),
            code("{} = self.shared", _tuple(shared)) if shared else Code(),
            *map(self._statement, self.step),
            code("return {}, [{}]", after[0], listed(*after)),
            describes=["Return the output and the states after a step."],
        )

    def _statement(self, statement: Statement) -> Code:
        match statement:
            case JoinedProduct():
                return lines(self._product(statement))
            case JoinedSum(names=(name,), slices=(part,)):
                self.writer.lines[name] = code("{}", self._slice(part))
                return Code()
            case JoinedSum(names=names, sizes=sizes):
                total = Code(" + ".join(map(self._slice, statement.slices)))
                return self._split(names, sizes, total)
            case Line(name=name, value=value):
                own = self._variable(name)
                is_state = name in self.cell.equations.states
                text = self.writer.batch(value) if is_state else self.writer.write(value)
                return code("{} = {}", own, text)
            case _:
                assert_never(statement)

    def _product(self, product: JoinedProduct) -> Iterator[Code]:
        """Yield the statements of a product, with its bias and the parts that sums take."""
        label, write = product.label, self.writer.write
        vector = write(product.vector)
        kernel = (
            code("{}_kernel", label) if self._is_joined(product) else write(product.matrices[0])
        )
        total = code("keras.ops.matmul({}, {})", vector, kernel)
        if self._drops(product):
            yield code(
                """
                if {n}_masks is None:
                    {name} = {total}
                else:
                    {name} = masked_products({vector}, [{kernels}], {n}_masks)
                """,
                n=label,
                name=product.name,
                total=total,
                vector=vector,
                kernels=listed(*map(self.writer.write, product.matrices)),
            )
            total = code("{}", product.name)
        match product.biases:
            case ():
                pass
            case (bias,) if bias is not None:
                total = code("{} + {}", total, write(bias, 1))
            case _:
                total = code("{} + {}_bias", total, label)
        slices = self.schedule.slices_of(product.name)
        if len(slices) > 1:
            names = [f"{label}_part_{part.start}" for part in slices]
            sizes = [self._sum(product.sizes[part.start : part.stop]) for part in slices]
            yield code("{} = {}", _tuple(names), self._parts(sizes, total))
        elif total != product.name:
            yield code("{} = {}", product.name, total)

    def _slice(self, part: ProductSlice) -> str:
        product = self.products[part.product]
        is_whole = len(self.schedule.slices_of(part.product)) == 1
        return part.product if is_whole else f"{product.label}_part_{part.start}"

    def _split(self, names: Sequence[str], sizes: Sequence[Size], total: Code) -> Code:
        """Return the statement that gives the parts of a vector their names."""
        if len(names) == 1:
            return code("{} = {}", names[0], total)
        texts = [self._size(size) for size in sizes]
        return code("{} = {}", _tuple(names), self._parts(texts, total))

    def _parts(self, sizes: Sequence[Code], total: Code) -> Code:
        """Return the call that splits a vector into parts of these sizes."""
        if len(set(sizes)) == 1:
            return code("keras.ops.split({}, {!r}, axis=-1)", total, len(sizes))
        ends = (Code(" + ".join(sizes[:at])) for at in range(1, len(sizes)))
        return code("keras.ops.split({}, [{}], axis=-1)", total, listed(*ends))

    def _config(self) -> tuple[Code, Code]:
        """Return the methods by which Keras saves a cell, and makes the same again."""
        drawn = define(self.cell, usual_initializers(self.cell.equations)).get("initialize")
        is_training = self.form == "training"
        saved = ["definition", *(["initialize"] if drawn and is_training else [])]
        keys = ("units", *map(size_argument, self.sizes), *self._options(), *saved)
        items = (code("{!r}: self.{}", key, key) for key in keys)
        # A model that was trained may be loaded for inference.
        left = ["initialize", *([] if is_training else ["dropout", "recurrent_dropout"])]
        return function(
            code("get_config(self) -> dict[str, object]"),
            code("config = {{{}}}", listed(*items)),
            code("return super().get_config() | config"),
            describes=["Return what makes the cell, and its definition."],
        ), function(
            code("from_config(cls, config: dict[str, Any]) -> keras.layers.Layer"),
            code(
                """
                if config.pop("definition") != cls.definition:
                    raise ValueError("saved with other equations of {}")
                """,
                self.cell.name,
            ),
            (code("config.pop({!r}, None)", key) for key in left),
            code("return cls(**config)"),
            describes=["Return a cell that was saved, unless its equations were others."],
            decorators=[code("classmethod")],
        )


def _entries(values: Mapping[str, Any], margin: str) -> Iterator[str]:
    """Yield the lines of the entries of a dict in a class."""
    room = LINE_LENGTH - len("    ")
    for key, value in values.items():
        match value:
            case dict():
                yield f"{margin}{literal(key)}: {{"
                yield from _entries(value, f"{margin}    ")
                yield f"{margin}}},"
            case list() | tuple():
                yield f"{margin}{literal(key)}: [{', '.join(map(literal, value))}],"
            case str() if len(f"{margin}{literal(key)}: {literal(value)},") > room:
                # As ruff has it, a text that fits in parentheses is in one piece.
                in_one = len(f"{margin}    {literal(value)}") <= room
                most = len(value) if in_one else _WIDTH
                yield f"{margin}{literal(key)}: ("
                for part in re.findall(rf".{{1,{most}}}(?:(?= )|$)", value):
                    yield f"{margin}    {literal(part)}"
                yield f"{margin}),"
            case _:
                yield f"{margin}{literal(key)}: {literal(value)},"


def _tuple(names: Sequence[str]) -> Code:
    """Return names as the items of a tuple, without its parentheses if it has several."""
    return code("({},)", names[0]) if len(names) == 1 else listed(*names)


def _assign_tuple(target: str, names: Sequence[str]) -> Code:
    whole = code("{} = {}", target, _tuple(names))
    if len(whole) <= _WIDTH:
        return whole
    return code(
        """
        {} = (
            {}
        )
        """,
        target,
        lines(code("{},", name) for name in names),
    )


def _concatenate(arrays: Sequence[Code]) -> Code:
    if len(arrays) == 1:
        return arrays[0]
    return code("keras.ops.concatenate([{}], axis=-1)", listed(*arrays))

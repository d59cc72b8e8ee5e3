"""The classes of Keras for recurrent layers that attend to another sequence at each step.

A layer of Keras hands its cell nothing but a step and the states. So the layer shows its cell what
it attends to for the length of a call, as tensors that the loop of each engine captures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.ir.expand import NO_WEIGHT
from rnnspec.ir.nodes import EquationCell, Recurrent, StepAttention
from rnnspec.ir.reductions import LOWEST
from rnnspec.source.code import Code, call, code, docstring, function, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnspec.ir.nodes import Network


def attending_layers(network: Network) -> list[Recurrent]:
    """Return the recurrent layers that attend to another sequence."""
    recurrent = (layer for layer in network.layers if isinstance(layer, Recurrent))
    return [layer for layer in recurrent if layer.attention is not None]


def parts_of_attention(network: Network) -> Iterator[Code]:
    """Yield the classes of the recurrent layers that attend to another sequence."""
    kinds = dict[str, list[Recurrent]]()
    attending = attending_layers(network)
    owners = {layer.name: layer.owner for layer in attending}
    contexts = {owners[port.layer] for port in network.ports.values() if not port.state}
    for layer in attending:
        assert layer.attention is not None
        kinds.setdefault(wrapper_class(layer.attention), []).append(layer)
    for name in dict.fromkeys(map(rnn_class, attending)):
        yield _rnn(network.name, name)
    for layers in kinds.values():
        returns_context = any(layer.owner in contexts for layer in layers)
        yield _Wrapper(network.name, layers, returns_context=returns_context).write()


def rnn_class(layer: Recurrent) -> str:
    """Return the name of the class of a recurrent layer that attends to another sequence."""
    return "SharingAttentionRNN" if isinstance(layer.cell, EquationCell) else "AttentionRNN"


def wrapper_class(attention: StepAttention) -> str:
    """Return the name of the class around a cell; that of a cell by equation ends in Cell."""
    match attention.additive, attention.projects:
        case True, projects:
            score = "Additive" if projects else "PlainAdditive"
        case _, projects:
            score = "General" if projects else "Dot"
            score = f"Keyed{score}" if takes_keys(attention) else score
    asked = "Asked" if attention.asked_as else ""
    return f"{asked}{'Masked' if attention.masked else ''}{score}AttentionWrapper"


def make_wrapper(
    attention: StepAttention, cell: Code, initializer: Code | str, *, returns_context: bool
) -> Code:
    """Return the call that makes the layer around a cell."""
    return call(
        wrapper_class(attention),
        cell,
        *([attention.size] if _has_arrays(attention) else []),
        *([attention.asks] if attention.asked_as and attention.projects else []),
        _defaults={"kernel_initializer": "glorot_uniform", "scale": 1.0, "return_context": False},
        kernel_initializer=initializer if _has_arrays(attention) else "glorot_uniform",
        scale=1.0 if attention.additive else attention.scale,
        return_context=returns_context,
    )


def takes_keys(attention: StepAttention) -> bool:
    """True if the keys of a memory are beside its values, which are no keys to a sum."""
    return attention.additive or attention.keys != attention.over


def _has_arrays(attention: StepAttention) -> bool:
    return attention.projects or attention.additive


def _rnn(package: str, name: str) -> Code:
    """Return the class of recurrent layers, which begins a cell by equation too."""
    shares = name == "SharingAttentionRNN"
    return code(
        '''
        @keras.saving.register_keras_serializable(package={package!r})
        class {name}(keras.layers.RNN):
            """A recurrent layer whose cell attends to a memory at each step."""

            def build(
                self,
                sequences_shape: tuple[int | None, ...],
                memory_shape: list[tuple[int | None, ...]],
                initial_state_shape: list[tuple[int | None, ...]] | None = None,
            ) -> None:
                """Make the weights of the cell, which takes a step and a context."""
                if not self.cell.built:
                    step_shape = (sequences_shape[0], sequences_shape[-1])
                    self.cell.build(step_shape, memory_shape[0])

            def call(
                self,
                sequences: keras.KerasTensor,
                memory: list[keras.KerasTensor],
                initial_state: list[keras.KerasTensor] | None = None,
                mask: keras.KerasTensor | None = None,
                training: bool = False,
            ) -> keras.KerasTensor | tuple[keras.KerasTensor, ...]:
                """Return what a recurrent layer does."""
                self.cell.attend_to(*memory)
                {begin}
                results = super().call(sequences, initial_state, mask, training)
                {end}
                return results
        ''',
        package=package,
        name=name,
        begin=code("self.cell.cell.begin(sequences, training)") if shares else Code(),
        end=code(f"self.cell.memory = {'self.cell.cell.shared = ' if shares else ''}None"),
    )


_LEADING = "A cell that takes x and its context: the mean of a memory for its state."
_ASKED = "A cell whose equations ask a memory."
_STEP = listed("self", code("x: keras.KerasTensor"), code("states: list[keras.KerasTensor]"))
_STEPPED = code("tuple[keras.KerasTensor, list[keras.KerasTensor]]")


class _Wrapper:
    """The writer of the class around the cells of ``layers``, which have the same kind of score."""

    def __init__(self, package: str, layers: Sequence[Recurrent], *, returns_context: bool) -> None:
        assert layers[0].attention is not None
        self.package, self.attention = package, layers[0].attention
        self.returns_context = returns_context
        scales = {layer.attention.scale for layer in layers if layer.attention is not None}
        self.is_scaled = not self.attention.additive and scales != {1.0}
        self.has_arrays = _has_arrays(self.attention)
        self.is_asked = bool(self.attention.asked_as)
        self.takes_queries = self.is_asked and self.attention.projects

    def write(self) -> Code:
        """Return the class."""
        return code(
            """
            @keras.saving.register_keras_serializable(package={!r})
            class {}(keras.layers.Layer):
                {}

                {}

                {}

                {}

                {}

                {}
            """,
            self.package,
            wrapper_class(self.attention),
            docstring([_ASKED if self.is_asked else _LEADING]),
            self._init(),
            self._build(),
            self._attend_to(),
            self._ask() if self.is_asked else self._call(),
            Code("\n\n".join(self._config())),
        )

    def _init(self) -> Code:
        options = [
            code('kernel_initializer: str = "glorot_uniform"') if self.has_arrays else Code(),
            code("scale: float = 1.0") if self.is_scaled else Code(),
            code("return_context: bool = False") if self.returns_context else Code(),
        ]
        return function(
            code(
                "__init__({}) -> None",
                listed(
                    "self",
                    code("cell: keras.layers.Layer"),
                    code("size: int") if self.has_arrays else Code(),
                    code("query_size: int") if self.takes_queries else Code(),
                    *options,
                    code("**kwargs: object"),
                ),
            ),
            code("super().__init__(**kwargs)"),
            code("self.cell, self.size = cell, size")
            if self.has_arrays
            else code("self.cell = cell"),
            code("self.kernel_initializer = keras.initializers.get(kernel_initializer)")
            if self.has_arrays
            else Code(),
            code("self.query_size = query_size") if self.takes_queries else Code(),
            code("self.scale = scale") if self.is_scaled else Code(),
            code("self.return_context = return_context") if self.returns_context else Code(),
            code("self.state_size = cell.state_size"),
            Code()
            if self.is_asked
            else code("self.units = keras.tree.flatten(cell.state_size)[0]"),
        )

    def _build(self) -> Code:
        weight = "self.{n} = self.add_weight(({shape}), self.kernel_initializer, name={n!r})"
        queries = "self.query_size" if self.takes_queries else "self.units"
        arrays = [("kernel", f"{queries}, self.size")] if self.attention.projects else []
        arrays += [("score", "self.size, 1")] if self.attention.additive else []
        shape = code("tuple[Any, ...]")
        return function(
            code("build(self, input_shape: {}, memory_shape: {}) -> None", shape, shape),
            (code(weight, n=name, shape=Code(shape)) for name, shape in arrays),
            code("self.output_size = self.units + memory_shape[-1] * self.return_context")
            if self.returns_context
            else Code(),
            code(
                """
                if not self.cell.built:
                    self.cell.build((input_shape[0], {}))
                """,
                code("input_shape[-1]" if self.is_asked else "input_shape[-1] + memory_shape[-1]"),
            ),
        )

    def _attend_to(self) -> Code:
        """Return the method that is told the memory, and keeps it as the steps need it."""
        attention = self.attention
        names = ["memory", *(["keys"] if takes_keys(attention) else [])]
        arrays = [*names, *(["mask"] if attention.masked else [])]
        kept = [
            *map(code, names),
            code("keras.ops.expand_dims(mask, -1)") if attention.masked else Code(),
        ]
        return function(
            code(
                "attend_to({}) -> None",
                listed("self", *(code("{}: keras.KerasTensor", name) for name in arrays)),
            ),
            code("self.memory = {}", listed(*kept)),
            describes=["Keep what all steps of a call attend to."],
        )

    def _ask(self) -> Code:
        """Return the methods of a cell that asks by itself, and of what it asks."""
        context, result = code("context = "), self._context(code("query"))
        assert result[-1].startswith(context), "the context comes last"
        ask = function(
            code("attend(self, query: keras.KerasTensor) -> keras.KerasTensor"),
            *result[:-1],
            code("return {}", Code(result[-1].removeprefix(context))),
            describes=["Return the mean of the memory, weighted for a query."],
        )
        run = function(
            code("call({}) -> {}", _STEP, _STEPPED),
            code("return self.cell(x, states, attend=self.attend)"),
            describes=["Return the output and the states after a step."],
        )
        return code("{}\n\n{}", ask, run)

    def _context(self, query: Code) -> list[Code]:
        """Return the statements that make the context of a query."""
        attention = self.attention
        memory = ["memory", *(["keys"] if takes_keys(attention) else [])]
        memory += ["real"] if attention.masked else []
        query = code("keras.ops.matmul({}, self.kernel)", query) if attention.projects else query
        query = code("self.scale * {}", query) if self.is_scaled else query
        along = 1 if attention.additive else -1
        query = code("query = keras.ops.expand_dims({}, {!r})", query, along)
        softmax = code("keras.ops.softmax(scores, axis=1)")
        return [
            code("{} = self.memory", listed(*memory)),
            query,
            code("scores = keras.ops.matmul(keras.ops.tanh(query + keys), self.score)")
            if attention.additive
            else code("scores = keras.ops.matmul({}, query)", memory[takes_keys(attention)]),
            self._weigh(softmax) if attention.masked else code("weights = {}", softmax),
            code('context = keras.ops.einsum("bmi,bmf->bf", weights, memory)'),
        ]

    def _call(self) -> Code:
        return function(
            code("call({}) -> {}", _STEP, _STEPPED),
            *self._context(code("states[0]")),
            code("x = keras.ops.concatenate([x, context], axis=-1)"),
            self._apply_cell(),
            describes=["Return the output and the states after a step."],
        )

    @staticmethod
    def _weigh(softmax: Code) -> Code:
        return code(
            """
            # {}
            scores = keras.ops.where(real, scores, {!r})
            weights = keras.ops.where(real, {}, 0)
            """,
            Code(NO_WEIGHT),
            LOWEST,
            softmax,
        )

    def _apply_cell(self) -> Code:
        if not self.returns_context:
            return code("return self.cell(x, states)")
        return code(
            """
            output, states = self.cell(x, states)
            if self.return_context:
                output = keras.ops.concatenate([output, context], axis=-1)
            return output, states
            """
        )

    def _config(self) -> tuple[Code, Code]:
        """Return the methods by which Keras saves a cell, and makes the same again."""
        initializer = code("keras.initializers.serialize(self.kernel_initializer)")
        items = [code('"cell": keras.saving.serialize_keras_object(self.cell)')]
        if self.has_arrays:
            items += [code('"size": self.size'), code('"kernel_initializer": {}', initializer)]
        items += [code('"query_size": self.query_size')] if self.takes_queries else []
        items += [code('"scale": self.scale')] if self.is_scaled else []
        items += [code('"return_context": self.return_context')] if self.returns_context else []
        return function(
            code("get_config(self) -> dict[str, object]"),
            code("config = {{{}}}", listed(*items)),
            code("return super().get_config() | config"),
        ), function(
            code("from_config(cls, config: dict[str, Any]) -> keras.layers.Layer"),
            code('cell = keras.saving.deserialize_keras_object(config.pop("cell"))'),
            code("return cls(cell, **config)"),
            decorators=[code("classmethod")],
        )

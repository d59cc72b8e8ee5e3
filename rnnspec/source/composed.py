"""The classes of layers with arrays that are written from their recipes, in PyTorch or JAX."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rnnspec.errors import GenerationError
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import attention_of_step, expand
from rnnspec.ir.params import axis_groups, params
from rnnspec.ir.text import composed_about, composed_class
from rnnspec.source.code import Code, code, define_class, function, listed
from rnnspec.source.expressions import local_names
from rnnspec.source.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rnnspec.ir.forms import Form
    from rnnspec.ir.params import Param


@dataclass(frozen=True)
class ComposedLayers(Verbs):
    """Verbs of a framework whose modules hold canonical arrays under their own names.

    ``module`` is the base of a class, whose arrays come after ``before_arrays``, and ``method`` is
    the method that computes. ``not_in_class`` are the names that no array of equations can have.
    """

    network: nodes.Network
    form: Form

    module: ClassVar[str]
    before_arrays: ClassVar[Code] = Code()
    not_in_class: ClassVar[frozenset[str]]
    method: ClassVar[str]

    @property
    def layer_classes(self) -> tuple[Code, ...]:
        """The classes of composed layers, each once, but for attentions."""
        return self._classes(
            node
            for layer in self.network.layers
            for node in (*nodes.learned_of(layer), layer)
            if isinstance(node, nodes.Learned | nodes.InstanceNorm | nodes.LearnedFormula)
            if layer.shares is None
        )

    @property
    def attention_classes(self) -> tuple[Code, ...]:
        """The classes of attentions, each once, which recurrent layers have too."""
        return self._classes(filter(None, map(attention_layer, self.network.layers)))

    def _classes(self, layers: Iterable[nodes.Composed | nodes.Learned]) -> tuple[Code, ...]:
        classes = dict[str, Code]()
        for layer in layers:
            name, text = composed_class(layer), self._layer_class(layer)
            if classes.setdefault(name, text) != text:
                raise GenerationError(f"{layer.name}: {name} has no argument for what differs")
        return tuple(classes.values())

    def _layer_class(self, layer: nodes.Composed | nodes.Learned) -> Code:
        """Return the class of layers whose sizes and settings are its arguments."""
        class_, variables, takes = composed_class(layer), dict[str, Code](), ["x"]
        if isinstance(layer, nodes.Attention):
            # A vector is a sequence of one step, and the names are those of the arguments.
            sequence = (None, nodes.width(layer.input))
            layer = replace(layer, input=sequence, keys="keys", over="memory")
            variables, takes = {"x": Code("queries")}, ["queries", "keys"]
            takes += ["memory"] if layer.gives == "context" else []
        own_names, about = dict[str, str](), composed_about(layer)
        if isinstance(layer, nodes.LearnedFormula):
            own_names = local_names(layer.how.equations, self.not_in_class)
            takes = [own_names[name] for name in layer.how.names]
            layer = replace(layer, name="", of=tuple(takes))
        results = tuple(expand(layer, self.form))
        if own_names:
            results = tuple(core.rename(_with_names(results, own_names), self.not_in_class))
        settings = _settings(results)
        names = dict.fromkeys(settings)
        variables |= {name: code("self.{}", name) for name in names}
        writer = replace(self, variables=variables)
        types = (code("{}: {}", name, type(value).__name__) for name, value in settings.items())
        keywords = [*types, self._generator_of(layer)]
        sizes = _sizes(layer)
        arrays = [
            self.hold(
                replace(param, name=own_names.get(param.name, param.name)), *_axes(param, sizes)
            )
            for param in params(layer)
        ]
        arguments = listed(
            "self",
            *(code("{}: int", name) for name in sizes.values()),
            code("*") if any(keywords) else "",
            *keywords,
        )
        own = [*(code("self.{} = {}", name, name) for name in names), *arrays]
        create = code("__init__({}) -> None", arguments)
        is_masked = not isinstance(layer, nodes.LearnedFormula) and layer.masked
        takes += ["mask"] if is_masked else []
        inputs = listed(*(code("{}: {}", name, self.array) for name in takes))
        return define_class(
            class_,
            self.module,
            about,
            *([function(create, self.before_arrays, own)] if own else []),
            function(
                code("{}(self, {}) -> {}", self.method, inputs, self.array),
                writer.return_composed(layer, results),
            ),
        )

    def return_composed(
        self, layer: nodes.Composed | nodes.Learned, results: Sequence[core.Result]
    ) -> Iterator[Code]:
        """Yield the statements that compute a layer by its recipe, and return its output."""
        del layer
        yield from self.statements(results[:-1])
        yield code("return {}", self.write(results[-1].value))

    def make_composed(self, layer: nodes.Composed | nodes.Learned) -> Code:
        """Return the call that creates a layer of its class."""
        sizes = {axis: size for param in params(layer) for axis, size in param.sizes}
        settings = _settings(expand(layer, self.form))
        arguments = listed(
            *(code("{!r}", sizes[axis]) for axis in _sizes(layer)),
            *(code("{}={!r}", name, value) for name, value in settings.items()),
            code("rngs=rngs") if self._generator_of(layer) else "",
        )
        return code("{}({})", composed_class(layer), arguments)

    @abstractmethod
    def hold(self, param: Param, *sizes: Code) -> Code:
        """Return the statement that creates an array, given its sizes."""

    def _generator_of(self, layer: nodes.Composed | nodes.Learned) -> Code:
        return self.generator() if params(layer) else Code()

    def generator(self) -> Code:
        """Return the parameter of a class that draws its arrays, if it has one."""
        return Code()


def attention_layer(layer: nodes.Layer) -> nodes.Attention | None:
    """Return an attention, or that of a recurrent layer as one of its own, else None."""
    match layer:
        case nodes.Attention():
            return layer
        case nodes.Recurrent(attention=nodes.StepAttention() as attention):
            own = attention_of_step(layer, attention, layer.name)
            return replace(own, input=(None, *own.input))
        case _:
            return None


def _with_names(results: Iterable[core.Result], names: Mapping[str, str]) -> Iterator[core.Result]:
    """Yield results whose arrays have other names."""
    for result in results:
        value = core.rewrite(
            result.value,
            lambda x: core.Param("", names[x.name]) if isinstance(x, core.Param) else None,
        )
        yield replace(result, value=value)


def _settings(results: Iterable[core.Result]) -> dict[str, float | int]:
    """Return the numbers that a class of a recipe takes, by their names."""
    return {setting.name: setting.value for setting in core.settings(results)}


def _sizes(layer: nodes.Composed | nodes.Learned) -> dict[str, str]:
    """Return the axes of the arrays of a layer, each with the name of its size."""
    if isinstance(layer, nodes.LearnedFormula):
        return {}
    axes = {axis for param in params(layer) for axis, _ in param.sizes}
    if isinstance(layer, nodes.Attention):
        return {"in": "units"} if axes else {}
    if not axes:
        return {}
    return {"out": "features"} if axes == {"out"} else {"in": "features", "out": "units"}


def _axes(param: Param, sizes: dict[str, str]) -> Iterator[Code]:
    """Yield the size of each axis of an array: its name, or a number that is always the same."""
    numbers = dict(param.sizes)
    for (axis,) in axis_groups(param.axes):
        yield code("{}", sizes[axis]) if axis in sizes else code("{!r}", numbers[axis])

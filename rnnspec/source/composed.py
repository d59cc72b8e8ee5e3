"""The classes of layers with arrays that are written from their recipes, in PyTorch or JAX."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rnnspec.errors import GenerationError
from rnnspec.ir import core, nodes
from rnnspec.ir.expand import expand
from rnnspec.ir.params import axis_groups, params
from rnnspec.ir.text import composed_class
from rnnspec.source.code import Code, code, define_class, function, listed
from rnnspec.source.verbs import Verbs

if TYPE_CHECKING:
    from rnnspec.ir.forms import Form
    from rnnspec.ir.params import Param


@dataclass(frozen=True)
class ComposedLayers(Verbs):
    """Verbs of a framework whose modules hold canonical arrays under their own names.

    ``module`` is the base of a class, whose arrays come after ``before_arrays``, and ``method`` is
    the method that computes.
    """

    network: nodes.Network
    form: Form

    module: ClassVar[str]
    before_arrays: ClassVar[Code] = Code()
    method: ClassVar[str]

    @property
    def layer_classes(self) -> tuple[Code, ...]:
        """The classes of composed layers, each once."""
        classes = dict[str, Code]()
        for layer in self.network.layers:
            if isinstance(layer, nodes.Composed | nodes.LearnedState):
                name, text = composed_class(layer), self._layer_class(layer)
                if classes.setdefault(name, text) != text:
                    raise GenerationError(f"{layer.name}: {name} has no argument for what differs")
        return tuple(classes.values())

    def _layer_class(self, layer: nodes.Composed | nodes.LearnedState) -> Code:
        """Return the class of layers whose sizes and settings are its arguments."""
        *results, result = expand(layer, self.form)
        names = dict.fromkeys(setting.name for setting in core.settings((*results, result)))
        keywords = [*(code("{}: float", name) for name in names), self.generator()]
        sizes = _sizes(layer)
        arrays = (
            self.hold(param, *(sizes[axis] for (axis,) in axis_groups(param.axes)))
            for param in params(layer)
        )
        arguments = listed(
            "self",
            *(code("{}: int", name) for name in sizes.values()),
            code("*") if any(keywords) else "",
            *keywords,
        )
        inputs = listed(
            code("x: {}", self.array), code("mask: {}", self.array) if layer.masked else ""
        )
        return define_class(
            composed_class(layer),
            self.module,
            [layer.about],
            function(
                code("__init__({}) -> None", arguments),
                self.before_arrays,
                (code("self.{} = {}", name, name) for name in names),
                arrays,
            ),
            function(
                code("{}(self, {}) -> {}", self.method, inputs, self.array),
                self.statements(results),
                code("return {}", self.write(result.value)),
            ),
        )

    def make_composed(self, layer: nodes.Composed | nodes.LearnedState) -> Code:
        """Return the statement that creates a layer of its class."""
        sizes = {axis: size for param in params(layer) for axis, size in param.sizes}
        settings = core.settings(expand(layer, self.form))
        arguments = listed(
            *(code("{!r}", sizes[axis]) for axis in _sizes(layer)),
            *(code("{}={!r}", setting.name, setting.value) for setting in settings),
            code("rngs=rngs") if self.generator() else "",
        )
        return code("self.{} = {}({})", layer.name, composed_class(layer), arguments)

    def run_composed(self, layer: nodes.Composed) -> Code:
        """Return the statement that calls a layer."""
        return code("x = self.{}({})", layer.name, listed("x", "mask" if layer.masked else ""))

    @abstractmethod
    def hold(self, param: Param, *sizes: str) -> Code:
        """Return the statement that creates an array, given the names of its sizes."""

    def generator(self) -> Code:
        """Return the parameter of a class that draws its arrays, if it has one."""
        return Code()


def _sizes(layer: nodes.Composed | nodes.LearnedState) -> dict[str, str]:
    """Return the axes of the arrays of a layer, each with the name of its size."""
    axes = {axis for param in params(layer) for axis, _ in param.sizes}
    return {"out": "features"} if axes == {"out"} else {"in": "features", "out": "units"}

"""Compare the configuration in a ``.keras`` file with that of the model built from the spec.

Both are JSON from Keras. Nothing in the file is executed: its values are only compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.errors import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Config = Mapping[str, Any]

# Precision, inferred shapes, training settings and ids of this process: not architecture.
_IGNORED = {"dtype", "build_config", "compile_config", "shared_object_id"}
_GRAPH = ("name", "inbound_nodes")
_UNKNOWN = "expected a functional or a sequential model, received another configuration"


class ConfigError(Exception):
    """A value that is not the configuration of a functional or a sequential model."""


def differences(wanted: Config, found: Any) -> Iterator[str]:
    """Yield each difference: the layer, the key, what was expected and what was received.

    Keys that only one side has are skipped: versions of Keras differ in them.

    Raises:
        ConfigError: ``found`` is not the configuration of such a model.
    """
    expected, received = _Graph(wanted), _Graph(found)
    if expected.form != received.form:
        yield f"model: expected {expected.form}, received {received.form}"
        return
    if expected.kinds != received.kinds:
        yield from _other_layers(expected, received)
        return
    # From here on, both have the same layers in the same order.
    for key in ("input_layers", "output_layers"):
        yield from _differing(key, expected.renamed(key), received.renamed(key))
    for name, one, other in zip(
        expected.names, expected.each_layer(), received.each_layer(), strict=True
    ):
        yield from _differing(name, one, other)


class _Graph:
    """The layers of a model, with the names that Keras generates replaced by positions.

    In a ``Sequential``, the name of a layer is in its own configuration, and it has no inputs.
    """

    def __init__(self, config: Any) -> None:
        match config:
            case {
                "class_name": "Functional" | "Sequential" as form,
                "config": {"layers": [*found]} as inside,
            }:
                layers = [_named(layer) for layer in found]
            case _:
                raise ConfigError(_UNKNOWN)
        self.form, self.inside, self.layers = form, inside, layers
        self.names = [self._name(i, layer) for i, layer in enumerate(layers)]
        self._aliases = {
            layer["name"]: name for layer, name in zip(layers, self.names, strict=True)
        }

    @staticmethod
    def _name(index: int, layer: Config) -> str:
        # Operations are not layers of the spec, and Keras numbers their names per process.
        operation = ".ops." in str(layer["module"])
        return f"{layer['class_name']}, layer {index}" if operation else str(layer["name"])

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """The name and the class of each layer."""
        return [
            (name, str(layer["class_name"]))
            for name, layer in zip(self.names, self.layers, strict=True)
        ]

    def renamed(self, key: str) -> Any:
        """Return an entry for the whole model, with the layer names used here."""
        return self._rename(self.inside.get(key))

    def each_layer(self) -> Iterator[Config]:
        """Yield the configuration of each layer, with the names used here for its inputs."""
        for layer in self.layers:
            # Names are compared in ``kinds``, where those that Keras generates are replaced.
            inner = {key: value for key, value in layer["config"].items() if key != "name"}
            rest = {key: value for key, value in layer.items() if key not in (*_GRAPH, "config")}
            yield {**inner, **rest, "inbound_nodes": self._rename(layer.get("inbound_nodes"))}

    def _rename(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._rename(each) for key, each in value.items()}
            # Keras refers to the output of a layer as [layer, node, tensor].
            case [str(name), *rest]:
                return [self._aliases.get(name, name), *rest]
            case list():
                return [self._rename(each) for each in value]
            case _:
                return value


def _named(layer: Any) -> Config:
    match layer:
        case {"module": _, "class_name": str(), "name": str(), "config": dict()}:
            return dict(layer)
        case {"module": _, "class_name": str(), "config": {"name": str(name)}}:
            return {**layer, "name": name}
        case _:
            raise ConfigError(_UNKNOWN)


def _other_layers(expected: _Graph, received: _Graph) -> Iterator[str]:
    wanted, found = (
        [f"{name} ({kind})" for name, kind in each.kinds] for each in (expected, received)
    )
    yield from (f"missing layer {each}" for each in wanted if each not in found)
    yield from (f"unexpected layer {each}" for each in found if each not in wanted)
    if sorted(wanted) == sorted(found):
        yield f"layers: expected the order {', '.join(wanted)}, received {', '.join(found)}"


def _differing(where: str, wanted: Any, found: Any) -> Iterator[str]:
    match wanted, found:
        case dict(), dict():
            for key in wanted:
                if key in found and key not in _IGNORED:
                    yield from _inside(f"{where}.{key}", wanted[key], found[key])
        case list(), list() if len(wanted) == len(found):
            for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
                yield from _inside(f"{where}[{index}]", one, other)
        case _:
            if not _equal(wanted, found):
                yield f"{where}: expected {brief(repr(wanted))}, received {brief(repr(found))}"


def _inside(where: str, wanted: Any, found: Any) -> Iterator[str]:
    # Keras generates the name of a layer inside a wrapper, and numbers it per process.
    if not where.endswith(("_layer.config.name", ".layer.config.name")):
        yield from _differing(where, wanted, found)


def _equal(wanted: Any, found: Any) -> bool:
    # In Python, True == 1, but a flag is not a number.
    return isinstance(wanted, bool) == isinstance(found, bool) and bool(wanted == found)

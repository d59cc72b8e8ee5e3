"""What stands above the class: the functions and classes that its layers need, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.backends.base import Part
from rnnspec.backends.torch.forms import (
    cell_activations,
    drops_inside,
    is_fused,
    is_wrapped,
    splits_directions,
)
from rnnspec.backends.torch.modules import cell_class
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


def parts(network: nodes.Network) -> Iterator[Part]:
    """Yield the parts of a network's source, those that others use first."""
    recurrent = [layer for layer in network.layers if isinstance(layer, nodes.Recurrent)]
    yield _part("check_batch")
    if any(layer.dropout for layer in recurrent):
        yield _part("variational_dropout")
    yield from _cells(recurrent)
    if any(is_wrapped(layer) for layer in recurrent):
        yield _part("masked")
    yield from _bidirectional([layer for layer in recurrent if splits_directions(layer)])
    for layer in network.layers:
        if isinstance(layer, nodes.Pooling) and layer.masked:
            yield _part(f"masked_{layer.statistic}")


def _cells(recurrent: list[nodes.Recurrent]) -> Iterator[Part]:
    classes = sorted({cell_class(layer) for layer in recurrent})
    for class_ in classes:
        if class_.startswith("SingleBias"):
            levels = any(layer.stack for layer in recurrent if cell_class(layer) == class_)
            base = class_.removeprefix("SingleBias")
            yield _part("single_bias", base=base, stacked="yes" if levels else "")
    stepwise = [layer for layer in recurrent if not is_fused(layer)]
    if stepwise:
        if any("hard_sigmoid" in cell_activations(layer.cell) for layer in stepwise):
            yield _part("hard_sigmoid")
        inside = any(drops_inside(layer) and layer.dropout for layer in stepwise)
        masked = any(layer.masked for layer in stepwise)
        yield _part("stepwise", dropped="yes" if inside else "", masked="yes" if masked else "")
    for class_ in classes:
        if class_.startswith("Stepwise"):
            yield _part(_FILES[class_])


_FILES = {
    "StepwiseRNN": "stepwise_rnn",
    "StepwiseLSTM": "stepwise_lstm",
    "StepwiseGRU": "stepwise_gru",
    "StepwiseResetFirstGRU": "stepwise_reset_first_gru",
}


def _bidirectional(split: list[nodes.Recurrent]) -> Iterator[Part]:
    for masked in (False, True):
        alike = [layer for layer in split if layer.masked is masked]
        if alike:
            outside = any(layer.dropout and not drops_inside(layer) for layer in alike)
            yield _part(
                "bidirectional",
                prefix="Masked" if masked else "",
                dropped="yes" if outside else "",
            )


def _part(name: str, **values: str) -> Part:
    return Part(f"torch/parts/{name}.py.j2", tuple(values.items()))

"""rnnspec's own files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.exporters.judge import File, is_fused, verdict
from benchmarks.exporters.rows import FEATURES, ROWS, UNITS, Row
from benchmarks.runtimes.__main__ import written
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.case import Case, step_through
from rnnspec.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.exporters.judge import Feed
    from rnnspec.slots import Array


def case(row: Row) -> Case:
    """Return the network of a row with random arrays."""
    mask = ", mask_value: 0" if row.padding != "none" else ""
    gates = ", recurrent_activation: hard_sigmoid" if row.hard else ""
    both = ", bidirectional: true" if row.bidirectional else ""
    # The output at padding is unspecified, so the last state is compared there.
    pooling = "last" if mask else "none"
    text = (
        f"version: 1\nname: net\ninput: {{features: {FEATURES}{mask}}}\n"
        f"rnn: {{type: {row.cell}, units: {UNITS}, layers: {row.layers}{both}{gates}}}\n"
        f"head: {{pooling: {pooling}}}\n"
    )
    return Case.of(pipeline.reads(text), 0, "float32")


def export(folder: Path, row: Row, made: Case) -> File:
    """Return the file, or for states the graph in step form, which gets each batch in chunks."""
    if not row.states:
        return File.of(written(made, folder))
    onnx = get("onnx")
    generated = pipeline.generate(made.program, onnx, "step")
    model = pipeline.instantiate(generated)
    generated.store.write(model, made.arrays)
    return File(
        lambda feed: step_through(onnx, model, feed[0], [2, feed[0].shape[1] - 2]),
        is_fused(model.to_proto()),
    )


def truth(made: Case, feed: Feed) -> Array:
    return reference.run(made.network, made.arrays, feed[0]).output


def run(folder: Path) -> dict[str, dict[str, str]]:
    """Return the cells of rnnspec."""
    return {f"rnnspec {__version__}": {row.title: _judge(folder, row) for row in ROWS}}


def _judge(folder: Path, row: Row) -> str:
    made = case(row)
    return verdict(
        partial(export, folder, row, made),
        lambda sizes: (row.batch(sizes),),
        partial(truth, made),
    )

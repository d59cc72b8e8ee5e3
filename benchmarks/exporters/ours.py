"""rnnspec's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.exporters.judge import FEATURES, UNITS, File, Row, is_fused, judge
from benchmarks.runtimes.__main__ import write_file
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.comparison.case import Case, step_through
from rnnspec.version import __version__


def tools() -> dict[str, Callable[[Path, Row], str]]:
    """Return the judge of rnnspec's files."""
    return {f"rnnspec {__version__}": judge_row}


def judge_row(folder: Path, row: Row) -> str:
    """Return the verdict on the file of a network with random arrays."""
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
    case = Case.of(pipeline.reads(text), 0, "float32")

    def export() -> File:
        return _stepper(case) if row.states else File.open(write_file(case, folder))

    return judge(
        export,
        lambda sizes: (row.batch(sizes),),
        lambda feed: reference.run(case.network, case.arrays, feed[0]).output,
    )


def _stepper(case: Case) -> File:
    """Return the graph in step form, which gets each batch in chunks."""
    onnx = get("onnx")
    generated = pipeline.generate(case.program, onnx, "step")
    model = pipeline.instantiate(generated)
    generated.store.write(model, case.arrays)
    return File(
        lambda feed: step_through(onnx, model, feed[0], [2, feed[0].shape[1] - 2]),
        is_fused(model.to_proto()),
    )

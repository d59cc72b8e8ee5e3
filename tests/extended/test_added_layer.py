"""A layer and a statistic that are added in a few files are the same in all forms of all backends.

Nothing but their meaning is told: the keys, the node, the recipe and the reference.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from offered import shipped

pytestmark = pytest.mark.skipif(
    not all(backend.installed for backend in shipped()), reason="a backend is not installed"
)

# The output of a layer times a number: ``{type: scale, by: 2.0}``.
LAYER = (
    (
        "rnnspec/spec/models.py",
        "class _Join(Model):\n",
        """\
class Scale(_Layer):
    \"\"\"Multiplies each number by another one.\"\"\"

    type: Literal["scale"]
    name: OptionalName = _key("The name of the layer.", "louder", default=None)
    by: Finite = _key("The factor.", 2.0)


class _Join(Model):
""",
    ),
    ("rnnspec/spec/models.py", "    | Transpose\n", "    | Transpose\n    | Scale\n"),
    (
        "rnnspec/lowering/layers.py",
        "        models.Transpose: nodes.Transpose,\n",
        "        models.Transpose: nodes.Transpose,\n        models.Scale: nodes.Scale,\n",
    ),
    (
        "rnnspec/ir/nodes.py",
        "Windowed = Conv | WindowPooling\n",
        """\
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Node):
    \"\"\"x times a number.\"\"\"

    acts_on: ClassVar[ActsOn] = "element"
    about: ClassVar[str] = "Each number, times another one."

    by: float


Windowed = Conv | WindowPooling
""",
    ),
    ("rnnspec/ir/nodes.py", "    | Normalize\n)", "    | Normalize\n    | Scale\n)"),
    (
        "rnnspec/ir/expand.py",
        "        case nodes.Transpose():\n",
        """\
        case nodes.Scale():
            yield Result("x", X * Setting("by", layer.by))
        case nodes.Transpose():
""",
    ),
    (
        "rnnspec/comparison/reference.py",
        "            case nodes.Normalize():\n",
        """\
            case nodes.Scale():
                return layer.by * x
            case nodes.Normalize():
""",
    ),
)
# The maximum minus the minimum: ``pooling: range``, with two states and a count.
STATISTIC = (
    ("rnnspec/words.py", '"max", "min", "sum", ', '"max", "min", "range", "sum", '),
    (
        "rnnspec/words.py",
        '        "flatten": "All',
        '        "range": "The maximum minus the minimum.",\n        "flatten": "All',
    ),
    (
        "rnnspec/ir/reductions.py",
        '    "sum": Reduction(',
        """\
    "range": Reduction(
        noun="range", states={"highest": "max", "lowest": "min", "count": "count"}
    ),
    "sum": Reduction(""",
    ),
    (
        "rnnspec/ir/expand.py",
        '        case "last":\n            yield from _pool_last(layer)\n',
        """\
        case "range":
            ends = [Reduce("max", X), Reduce("min", X)]
            if layer.masked:
                ends[0] = Reduce("max", Fill(Column(MASK), X, LOWEST))
                ends[1] = Reduce("min", Fill(Column(MASK), X, -LOWEST))
            yield Result("x", ends[0] - ends[1])
            if layer.masked:
                yield Result("x", Fill(Reduce("any", MASK, keep=True), X, 0.0))
        case "last":
            yield from _pool_last(layer)
""",
    ),
    (
        "rnnspec/ir/expand.py",
        '        case "last":\n            latest = ',
        """\
        case "range":
            for how, state, filler in (("max", "highest", LOWEST), ("min", "lowest", -LOWEST)):
                kept, found = Name(state), Name("found")
                real = Column(MASK)
                joined = Combine("maximum" if how == "max" else "minimum", kept, found)
                yield Result("found", Reduce(how, Fill(real, X, filler) if layer.masked else X))
                yield Result("found", Fill(count > 0.0, joined, found))
                after = Fill(Reduce("any", real), found, kept) if layer.masked else found
                yield Result(state, after)
            yield Result("count", count + chunk)
            yield Result("x", Name("highest") - Name("lowest"))
        case "last":
            latest = """,
    ),
    (
        "rnnspec/comparison/reference.py",
        '        case "max" | "min":\n',
        """\
        case "range":
            ends = steps.real.argmax(axis=0), steps.real.argmin(axis=0)
            high, low = (np.take_along_axis(steps, at[np.newaxis], axis=0)[0] for at in ends)
            return high - low
        case "max" | "min":
""",
    ),
)
SPECS = {
    "padded": """\
embedding: {vocabulary: 9, dim: 3, mask_zero: true}
rnn: [{type: lstm, units: 4}, {type: scale, by: -1.7}]
head: {pooling: [range, mean], units: 2}
""",
    "plain": """\
input: {features: 3}
rnn:
- {type: scale, by: 0.3}
- {type: gru, units: 4}
- {type: scale, by: 2.0, name: twice}
- {type: multiply, of: [gru_1, twice]}
head: {pooling: range, units: 2}
""",
}
CODE = """\
import sys
from pathlib import Path
import rnnspec
from rnnspec.backends import get
assert rnnspec.__file__.startswith(str(Path.cwd()))
for name in sys.argv[1:]:
    spec = rnnspec.load(f"{name}.yaml")
    for backend in ("torch", "keras", "jax", "onnx", "c"):
        for form in get(backend).forms:
            dtype = "float32" if backend in ("onnx", "c") else "float64"
            report = rnnspec.parity(spec, [backend], form=form, level="forward", dtype=dtype)
            assert report.equal, (name, backend, form, report)
            print(name, backend, form)
    rnnspec.build(spec, "keras", seed=1).save(f"{name}.keras")
    rnnspec.draw(spec).save(f"{name}.svg")
"""
FORMS = 13
"""The forms of these five backends."""


def test_an_added_layer_and_an_added_statistic_are_written_everywhere(tmp_path: Path) -> None:
    for name in ("rnnspec", "templates"):
        # With the times of files, so that what is compiled of them holds in the copy too.
        shutil.copytree(ROOT / name, tmp_path / name)
    for name, old, new in (*LAYER, *STATISTIC):
        text = (tmp_path / name).read_text("utf-8")
        assert text.count(old) == 1, (name, old)
        (tmp_path / name).write_text(text.replace(old, new), "utf-8")
    assert len({name for name, _, _ in LAYER}) <= 5
    assert len({name for name, _, _ in STATISTIC}) <= 4
    for name, text in SPECS.items():
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\nname: {name}\n{text}", "utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", CODE, *SPECS],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stdout.splitlines() if line.startswith(tuple(SPECS))]
    assert len([line for line in said if len(line.split()) == 3]) == len(SPECS) * FORMS
    assert "each number, times another" in " ".join(
        (tmp_path / "plain.svg").read_text("utf-8").split()
    )
    # Each writer names its layers, so that no operation has the name of one.
    load = "import sys, keras; [keras.saving.load_model(f'{each}.keras') for each in sys.argv[1:]]"
    subprocess.run([sys.executable, "-c", load, *SPECS], check=True, cwd=tmp_path)

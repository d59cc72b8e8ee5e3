"""A key that is added to the language is noticed by the tests of every key and every field."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

MODELS = (
    *("Spec", "Input", "Embedding", "RepeatVector", "LayerNorm"),
    *("Head", "Hidden", "Initializers", "Conv", "BatchNorm", "LayerNormLayer", "Dropout"),
    *("ActivationLayer", "Concat", "AttentionSettings", "Attention", "LastSteps", "Dense"),
    *("MaxPool", "AveragePool", "LeakyRelu", "ClippedRelu"),
    *("NamedInput", "InputEmbedding", "InstanceNorm", "NormalizeLayer", "Pool", "Transpose"),
    *("Add", "Multiply", "AttentionLayer", "StepAttention"),
)
CELLS = ("SimpleRNN", "LSTM", "GRU", "CellLayer")
KEY = "    added: float = Field(default={}, description='A key that was added.', examples=[1.5])\n"

# The output of a recurrent layer times a number, which the backends know nothing of.
EDITS = (
    (
        "rnnspec/ir/nodes.py",
        "    return_sequences: bool\n",
        "    return_sequences: bool\n    added: float = 1.0\n",
    ),
    (
        "rnnspec/lowering/recurrent.py",
        "        return_sequences=True,\n",
        "        return_sequences=True,\n        added=layer.added,\n",
    ),
    (
        "rnnspec/comparison/reference.py",
        "            results.append(outputs[",
        "            outputs = layer.added * outputs\n            results.append(outputs[",
    ),
    (
        "random_specs/rnnspec_random/layers.py",
        "    layer |= draw(_dropouts())\n",
        '    layer |= draw(_dropouts()) | {"added": draw(st.sampled_from([1.0, 0.5]))}\n',
    ),
    # Each backend says that it knows the field, which it does not.
    (
        "rnnspec/ir/fields.py",
        "    return frozenset(field for",
        '    return frozenset({"added"}).union(field for',
    ),
    (
        "tests/test_every_field.py",
        '    ("LayerNorm", "epsilon"): [1e-5],\n',
        '    ("LayerNorm", "epsilon"): [1e-5],\n    ("Recurrent", "added"): [0.5],\n',
    ),
)
RANDOM = '''\
"""Random specs with a neutral value of the key, or with another one, are compared and built."""

import pytest

import rnnspec
from rnnspec.models.building import Output, build_model
from rnnspec.backends import get, refusals
from rnnspec_random.strategies import sample, spec_text, specs
from rnnspec.pipeline import program

TEXTS = [spec_text(words) for words in sample(specs(), 30)]
# States of cells with linear gates may overflow within a few steps.
SPECS = [rnnspec.loads(text) for text in TEXTS if '"recurrent_activation": "linear"' not in text]
ONNX = get("onnx")


def is_neutral(spec):
    return all(getattr(layer, "added", 1.0) == 1.0 for layer in program(spec).network.layers)


@pytest.mark.parametrize("neutral", [True, False])
def test_a_random_spec_is_built_as_it_is(neutral, tmp_path):
    chosen = [
        spec
        for spec in SPECS
        if is_neutral(spec) == neutral and not refusals(ONNX, program(spec).network)
    ]
    assert len(chosen) > 3
    for number, spec in enumerate(chosen):
        report = rnnspec.parity(spec, ["onnx"], level="forward", dtype="float32")
        assert report.equal, "another network than the reference"
        output = Output(tmp_path / f"{number}.onnx")
        build_model(program(spec), ONNX, output=output)
'''


def copy_tree(folder: Path) -> None:
    """Copy what the tests need into a folder, with one more key in each model."""
    for name in ("rnnspec", "random_specs", "templates", "tests", "specs", "docs"):
        # With the times of files, so that what is compiled of them holds in the copy too.
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    models = folder / "rnnspec" / "spec" / "models.py"
    text = models.read_text("utf-8")
    for names, default in ((MODELS, 0.5), (CELLS, 1.0)):
        classes = rf"^class (?:{'|'.join(names)})\(.*\):\n    \"\"\"(?s:.*?)\"\"\"\n"
        added = rf"\g<0>\n{KEY.format(default)}"
        text, number = re.subn(classes, added, text, flags=re.MULTILINE)
        assert number == len(names)
    models.write_text(text, "utf-8")
    for name, old, new in EDITS:
        text = (folder / name).read_text("utf-8")
        # In nodes.py, the first one is that of the recurrent layer.
        assert old in text, name
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")
    (folder / "tests" / "comparison" / "test_added.py").write_text(RANDOM, "utf-8")


def test_an_added_key_is_noticed(tmp_path: Path) -> None:
    """In a checkout whose models have one more key each, the tests of every key are red.

    The key of recurrent layers, which the reference knows and no backend, is found by the tests of
    every field and by random specs.
    """
    copy_tree(tmp_path)
    tests = [
        "test_every_key.py::test_every_key_changes_the_network",
        "test_every_field.py::test_a_change_is_shown_or_refused[torch-step]",
        "test_every_field.py::test_a_change_is_shown_or_refused[c-step]",
        "comparison/test_added.py",
    ]
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "--tb=line"]
    ran = subprocess.run(
        [*command, *(str(Path("tests", name)) for name in tests)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert "another network than the reference" in ran.stdout
    red = set(re.findall(r"^FAILED \S+::(\S+)", ran.stdout, re.MULTILINE))
    assert red == {
        *(f"test_every_key_changes_the_network[{model}]" for model in MODELS),
        "test_a_change_is_shown_or_refused[torch-step]",
        "test_a_change_is_shown_or_refused[c-step]",
        "test_a_random_spec_is_built_as_it_is[False]",
    }, ran.stdout

"""A key that is added to the language is noticed by the tests of every key."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

MODELS = (
    *("Spec", "Input", "Embedding", "SimpleRNN", "LSTM", "GRU", "RepeatVector", "LayerNorm"),
    *("Head", "Hidden", "Initializers", "Conv", "BatchNorm", "LayerNormLayer", "Dropout"),
    *("ActivationLayer", "Concat", "AttentionSettings", "Attention", "LastSteps", "Dense"),
    *("MaxPool", "AveragePool", "LeakyRelu", "ClippedRelu"),
)
KEY = "    added: float = Field(default=0.5, description='A key that was added.', examples=[1.5])\n"


def test_an_added_key_is_noticed(tmp_path: Path) -> None:
    """In a checkout whose models have one more key each, the tests of every key are red."""
    for folder in ("rnnspec", "templates", "tests", "specs", "docs"):
        ignored = shutil.ignore_patterns("__pycache__", "goldens")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    models = tmp_path / "rnnspec" / "spec" / "models.py"
    classes = re.compile(
        rf"^class (?:{'|'.join(MODELS)})\(.*\):\n    \"\"\"(?s:.*?)\"\"\"\n", re.MULTILINE
    )
    text, number = classes.subn(lambda match: f"{match[0]}\n{KEY}", models.read_text("utf-8"))
    assert number == len(MODELS)
    models.write_text(text, "utf-8")
    tests = [
        "test_every_key.py",
        "comparison/test_random_specs.py::test_the_sample_holds_every_word_of_the_language",
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
    red = set(re.findall(r"^FAILED \S+::(\S+)", ran.stdout, re.MULTILINE))
    expected = {f"test_every_key_changes_the_network[{model}]" for model in MODELS}
    assert red == expected | {"test_the_sample_holds_every_word_of_the_language"}, ran.stdout

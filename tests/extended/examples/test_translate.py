"""The translator of dates writes the same in every framework, greedily and by a beam."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from commands import call
from offered import require
from safetensors.numpy import load_file, save_file

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.ir.params import named_params

FOLDER = Path(__file__).parents[3] / "examples" / "translate"
SPEC = FOLDER / "date_translator.yaml"
DATES = ["3rd of may, 1999", "31.12.70"]
WIDTH = 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of arrays that are larger than the initial ones, so that outputs differ."""
    require("torch", needs.form("step"))
    random, folder = np.random.default_rng(2), tmp_path_factory.mktemp("translate")
    arrays = rnnspec.read_weights(rnnspec.build(SPEC, "torch", seed=1))
    save_file(
        {
            name: (array + 0.5 * random.normal(size=array.shape)).astype(np.float32)
            for name, array in arrays.items()
        },
        folder / "trained.safetensors",
    )
    return folder / "trained.safetensors"


def convert(trained: Path, name: str, out: Path) -> Path:
    """Return the model of a framework in step form."""
    suffix = require(name, needs.form("step")).suffix
    path = out / (f"date_translator{suffix}" if suffix else name)
    words = ("--spec", SPEC, "--form", "step", *(() if suffix else ("--backend", name)))
    call("convert", trained, path, *words)
    return path


def run_script(name: str, *words: str | Path) -> list[str]:
    """Return the lines that a script of the example prints, in this process."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr(sys, "path", [str(FOLDER), *sys.path])
        patch.setattr(sys, "argv", [name, *map(str, words)])
        # Each framework has a module of this name.
        sys.modules.pop("date_translator", None)
        import_module(name).main()
    return printed.getvalue().splitlines()


@pytest.fixture(scope="module")
def expected(trained: Path) -> dict[int, list[str]]:
    """Return the translations of ONNX Runtime for each width of the beam."""
    model = convert(trained, "onnx", trained.parent)
    translations = {
        width: run_script("generate_onnx", model, *DATES, "--beam", str(width))
        for width in (1, WIDTH)
    }
    # Otherwise a beam that is ignored would not be noticed.
    assert translations[1] != translations[WIDTH]
    return translations


@pytest.mark.parametrize("name", ["torch", "keras", "jax"])
def test_each_framework_writes_the_same(
    name: str, trained: Path, expected: dict[int, list[str]], tmp_path: Path
) -> None:
    model, generate = convert(trained, name, tmp_path), f"generate_{name}"
    for width, translations in expected.items():
        assert run_script(generate, model, *DATES, "--beam", str(width)) == translations
    # As cold as this, a draw is the likeliest token.
    assert run_script(generate, model, *DATES, "--temperature", "1e-4") == expected[1]


@pytest.mark.parametrize("name", ["torch", "keras", "jax"])
def test_training_lowers_the_loss(name: str, tmp_path: Path) -> None:
    require(name, needs.form("training"))
    out = tmp_path / "trained.safetensors"
    (line,) = run_script(f"train_{name}", out, "--steps", "30")
    # At first it is log 14, 2.64.
    assert float(line.split()[-1]) < 2.4
    expected = {key for key, _, _ in named_params(pipeline.program(SPEC).network)}
    assert load_file(out).keys() == expected

"""``--form`` of the commands that write or build source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import load
from offered import require, require_source
from safetensors.numpy import load_file

import rnnspec
from rnnspec.backends import get, needs
from rnnspec.cli import completers
from rnnspec.errors import UsageError

Run = Callable[..., Any]
DEPLOYED = needs.form("inference")
pytestmark = [
    pytest.mark.needs(DEPLOYED, needs.form("training")),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def test_codegen_writes_and_checks_a_form(run: Run, spec: str, backend: str) -> None:
    require_source(backend, DEPLOYED, needs.form("training"), spec)
    printed = run("codegen", spec, "-b", backend, "--form", "inference")
    assert (printed.code, printed.err) == (0, "")
    assert printed.out == rnnspec.codegen(spec, backend, form="inference")
    assert printed.out != rnnspec.codegen(spec, backend)
    assert "dropout" not in printed.out
    run("codegen", spec, "-b", backend, "-o", "made.py")
    stale = run("codegen", spec, "-b", backend, "--form", "inference", "-o", "made.py", "--check")
    assert stale.code == 1
    remedy = stale.err.rpartition("to update: rnnspec ")[2].split()
    assert run(*remedy).code == 0
    assert Path("made.py").read_text() == printed.out


def test_build_proves_what_it_writes(
    run: Run, spec: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = require(backend, DEPLOYED, needs.form("training"), needs.FILES, spec)
    output = Path(f"made{chosen.suffix}")
    form = ("-b", backend, "--form", "inference", "--seed", 3, "-o", output)
    ran = run("build", spec, *form)
    assert (ran.code, ran.err) == (0, "")
    assert "\nequal to the NumPy reference with the same arrays: largest difference " in ran.out
    model = load(ran.out, "small")
    wanted = rnnspec.read_weights(rnnspec.build(spec, backend, seed=3))
    found = rnnspec.read_weights(model, spec)
    assert all(np.array_equal(found[name], array) for name, array in wanted.items())
    # A model that differs is not written.
    moved = {name: array + 1.0 for name, array in wanted.items()}
    reload = chosen.runtime.reload

    def broken(*arguments: Any) -> Any:
        model = reload(*arguments)
        rnnspec.write_weights(model, moved, spec)
        return model

    monkeypatch.setattr(chosen.runtime, "reload", broken)
    ran = run("build", spec, *form[:-1], f"other{chosen.suffix}")
    assert (ran.code, ran.out) == (1, "")
    assert "expected the array of the input, received another one" in ran.err
    assert not Path(f"other{chosen.suffix}").exists()


def test_convert_reads_and_writes_each_form(run: Run, spec: str, backend: str) -> None:
    chosen = require(backend, DEPLOYED, needs.form("training"), needs.FILES, spec)
    first, second, last = (f"{name}{chosen.suffix}" for name in ("first", "second", "last"))
    run("build", spec, "-b", backend, "-o", first)
    ran = run("convert", first, second, "--spec", spec, "--form", "inference")
    assert (ran.code, ran.err) == (0, "")
    ran = run("convert", second, last, "--spec", spec)
    assert (ran.code, ran.err) == (0, "")
    for path in (first, second, last):
        assert run("convert", path, f"{path}.safetensors", "--spec", spec).code == 0
    arrays = [Path(f"{path}.safetensors").read_bytes() for path in (first, second, last)]
    assert arrays[0] == arrays[1] == arrays[2]


def test_import_reads_a_deployed_state_dict(run: Run, spec: str) -> None:
    require("torch", spec)
    ran = run("build", spec, "-b", "torch", "--form", "inference", "-o", "made")
    assert (
        "\n12 of them are zero: layers of PyTorch have a second bias, not needed here\n" in ran.out
    )
    ran = run("import", "made/small.safetensors", "--spec", spec, "--weights", "back.safetensors")
    assert (ran.code, ran.err) == (0, "")
    assert run("convert", "made", "direct.safetensors").code == 0
    back, direct = (load_file(f"{name}.safetensors") for name in ("back", "direct"))
    assert back.keys() == direct.keys()
    assert all(np.array_equal(back[name], array) for name, array in direct.items())


def test_parity_of_a_form(run: Run, spec: str) -> None:
    require("torch", spec)
    options = ("--backend", "torch", "--form", "inference")
    ran = run("parity", spec, *options)
    assert (ran.code, ran.err) == (0, "")
    assert "compared up to forward in float64, source for inference (PyTorch" in ran.out
    assert (
        "Built-in layers of PyTorch have 192 parameters; the counts above leave out the zeros:"
        in ran.out
    )
    found = json.loads(run("parity", spec, *options, "--json").out)
    assert (found["form"], found["level"]) == ("inference", "forward")
    ran = run("parity", spec, *options, "--level", "training")
    assert (ran.code, ran.out) == (2, "")
    message = "source for inference does not train; it is compared up to forward"
    assert ran.err == f"rnnspec: error: {message}, received the level training\n"


@pytest.mark.parametrize(
    "words", [("codegen",), ("build",), ("parity",), ("convert", "x.safetensors", "y.keras")]
)
def test_an_unknown_form_is_one_sentence(run: Run, spec: str, words: tuple[str, ...]) -> None:
    Path("x.safetensors").write_bytes(b"")
    given = words if len(words) > 1 else (*words, spec)
    ran = run(*given, "--form", "deploy")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err == "rnnspec: error: unknown form 'deploy'; expected training, inference or step\n"
    )


def test_a_backend_that_lacks_a_form_names_those_that_have_it(
    monkeypatch: pytest.MonkeyPatch, run: Run, spec: str
) -> None:
    from dataclasses import replace

    from rnnspec import backends

    only = replace(get("torch"), forms=("training",))
    monkeypatch.setitem(backends.BACKENDS, "torch", only)
    ran = run("codegen", spec, "-b", "torch", "--form", "inference")
    assert ran.code == 2
    assert "torch cannot write source for inference, only for training; keras" in ran.err
    with pytest.raises(UsageError, match="torch cannot write source for inference"):
        rnnspec.build(spec, "torch", form="inference")


def test_shells_complete_forms() -> None:
    assert completers.source_forms("") == ["training", "inference", "step"]
    assert completers.source_forms("in") == ["inference"]


def test_a_canonical_file_has_no_form(run: Run) -> None:
    Path("x.safetensors").write_bytes(b"")
    ran = run("convert", "x.safetensors", "y.safetensors", "--form", "inference")
    assert ran.code == 2
    assert ran.err.endswith(
        "a .safetensors file of rnnspec has no source; it cannot honour the form inference\n"
    )

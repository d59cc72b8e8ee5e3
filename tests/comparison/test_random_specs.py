"""Random specs mean the same on every backend, and their source passes linters."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from mutation import source_edited
from offered import require_all, require_source

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS, honouring, needs
from rnnspec.backends.needs import SOURCE
from rnnspec.comparison.levels import TOLERANCES, levels_up_to
from rnnspec.comparison.random import compare_random
from rnnspec.comparison.strategies import Words, sample, spec_text, specs
from rnnspec.errors import BackendError, GenerationError, ParityError, UsageError
from rnnspec.spec.models import Data, Expect, Model, Spec

TYPED = 20
"""The number of generated files of each kind and backend that mypy checks; ruff checks all."""

# Keras's warning about a softmax over one unit is right, but the language allows it.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*softmax over axis -1:UserWarning")


@pytest.mark.parametrize(("level", "number"), [("gradients", 20), ("training", 4)])
def test_any_spec_means_the_same_on_every_backend(level: str, number: int) -> None:
    require_all(needs.level(level))
    steps: list[str] = []
    found = compare_random(number, 20, level=level, progress=steps.append)
    assert found.equal, f"{found.error}\n{found.spec}"
    assert found.compared == number
    assert found.spec == ""
    assert steps == [f"{n} compared" for n in range(number)]
    assert tuple(found.largest) == levels_up_to(level)[1:]
    for each, largest in found.largest.items():
        assert 0.0 < largest < TOLERANCES["float64"][each] / 1000
        assert largest == max(part.largest[each] for part in found.backends.values())
    assert found.as_dict() == {
        "equal": True,
        "compared": number,
        "largest": found.largest,
        "backends": {name: part.as_dict() for name, part in found.backends.items()},
        "spec": "",
        "error": "",
    }


def test_a_fault_is_found_made_small_and_given_back_as_a_spec() -> None:
    pytest.importorskip("torch")
    with source_edited("torch", [("x = state[-1]", "x = -state[-1]")], everywhere=False):
        found = compare_random(40, 4, ["torch"], level="forward")
        assert not found.equal
        again = rnnspec.parity(rnnspec.loads(found.spec), ["torch"], level="forward")
    assert isinstance(found.error, ParityError)
    assert found.error.differences == again.differences
    assert again.differences[0].quantity == "output"
    assert found.as_dict()["spec"] == found.spec
    assert found.as_dict()["error"] == str(found.error)
    small = rnnspec.loads(found.spec)
    assert rnnspec.parity(small, ["torch"], level="forward").equal
    # The smallest possible network: one unit after one feature, or after one token.
    layers = [(layer.type, layer.parameters) for layer in rnnspec.summary(small).layers]
    assert layers in ([("SimpleRNN", 3)], [("Embedding", 1), ("SimpleRNN", 3)])


def test_a_spec_that_a_framework_crashes_on_is_given_back_too() -> None:
    pytest.importorskip("torch")
    with source_edited("torch", [("eps=0.001", "eps=1 / 0")], everywhere=False):
        found = compare_random(60, 1, ["torch"], level="counts")
    assert isinstance(found.error, GenerationError)
    assert "ZeroDivisionError: division by zero" in str(found.error)
    assert "layer_norm: true" in found.spec


def test_a_seed_draws_the_same_specs_and_another_draws_others() -> None:
    pytest.importorskip("torch")
    one, same, other = (compare_random(5, n, ["torch"], level="forward") for n in (1, 1, 2))
    assert one == same
    assert one.largest != other.largest


def test_what_is_drawn_does_not_depend_on_what_is_imported() -> None:
    # Hypothesis takes constants from the modules of this project.
    code = "from rnnspec.comparison.drawn.texts import Texts; print(*Texts(300, 1).all())"
    few, many = (
        subprocess.run(
            [sys.executable, "-c", f"import {modules}; {code}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for modules in ("rnnspec", "rnnspec.comparison.drawn.passes")
    )
    assert few == many


@pytest.mark.parametrize(
    ("backends", "level", "message"),
    [
        (["torch"], "everything", "unknown level"),
        (["nosuch"], "forward", "unknown backend"),
        (["torch"], "training", "at least two"),
        ([], "forward", "at least one"),
    ],
)
def test_a_wrong_request_is_no_finding(backends: list[str], level: str, message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=message):
        compare_random(3, 0, backends, level=level)


def test_without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(BackendError, match=r"need hypothesis: pip install hypothesis$"):
        compare_random(3, 0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(specs())
def test_the_same_spec_gives_the_same_source_and_it_compiles(spec: Words) -> None:
    program = pipeline.reads(spec_text(spec))
    for each in honouring(program.network):
        text = pipeline.generate(program, each).text
        assert text == rnnspec.codegen(rnnspec.loads(spec_text(spec)), each.name)
        if each.ending == ".py":
            compile(text, each.name, "exec")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of every backend, with short and with long names, in its forms."""
    folder = tmp_path_factory.mktemp("sources")
    for kind, chosen in (
        ("short", sample(specs(), 150)),
        ("long", sample(specs(long_names=True), 150)),
    ):
        for number, spec in enumerate(chosen):
            program = pipeline.reads(spec_text(spec))
            for each in honouring(program.network):
                forms = pipeline.forms_of(program, each)
                form = forms[number % len(forms)]
                text = pipeline.generate(program, each, form).text
                path = folder / f"{kind}_{number:03}_{each.name}{each.ending}"
                path.write_text(text, encoding="utf-8")
    return folder


def test_every_backend_has_sources_in_the_sample(backend: str, sources: Path) -> None:
    require_source(backend)
    assert list(sources.glob(f"*_{backend}{BACKENDS[backend].ending}"))


UNDRAWN = {
    ("Embedding", "weights"): "names a file",
    ("Embedding", "words"): "likewise",
    ("Spec", "data"): "is for advice, and no part of the network",
    ("Spec", "expect"): "is a promise, and no part of the network",
}
"""Keys that no random spec has, and why."""


def models_in(value: Any) -> Iterator[Model]:
    """Yield every mapping of a spec."""
    if isinstance(value, Model):
        yield value
        for key in value.model_fields_set:
            yield from models_in(getattr(value, key))
    elif isinstance(value, tuple):
        for item in value:
            yield from models_in(item)


def models_of(annotation: Any) -> Iterator[type[Model]]:
    """Yield every model that values of a type consist of."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_of(field.annotation)
    for part in get_args(annotation):
        yield from models_of(part)


def literals_of(annotation: Any) -> Iterator[object]:
    """Yield the values of all literals in a type."""
    for part in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield part
        else:
            yield from literals_of(part)


def test_the_sample_holds_every_word_of_the_language() -> None:
    # Hypothesis prefers small integers that occur in the loaded code, so some choices are rare.
    drawn = defaultdict[tuple[str, str], set[str]](set)
    for text in map(spec_text, sample(specs(), 1500)):
        for model in models_in(rnnspec.loads(text)):
            for key in model.model_fields_set:
                drawn[type(model).__name__, key].add(repr(getattr(model, key)))
    fields = {
        (model.__name__, key): field
        for model in models_of(Spec)
        if model not in (Data, Expect)
        for key, field in model.model_fields.items()
    }
    assert fields.keys() - UNDRAWN.keys() == drawn.keys()
    for place, field in fields.items():
        words = {repr(word) for word in literals_of(field.annotation)}
        if place == ("Hidden", "activation"):  # it overflows unless its input is bounded
            words.remove("'exponential'")
        if place not in UNDRAWN:
            assert words <= drawn[place], place


@pytest.mark.parametrize("command", [["format", "--check", "--diff"], ["check"]])
def test_ruff_has_nothing_to_say(command: list[str], sources: Path) -> None:
    _agrees(["ruff", *command, "--isolated", "--no-cache", "."], sources)


def test_mypy_has_nothing_to_say(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    chosen = [
        path.name
        for kind in ("short", "long")
        for name in require_all(SOURCE)
        for path in sorted(sources.glob(f"{kind}_*_{name}.py"))[:TYPED]
    ]
    cache = tmp_path_factory.getbasetemp() / "mypy_cache"
    config = ["--config-file", "", "--cache-dir", str(cache), "--no-warn-unused-configs"]
    # Keras has no type hints.
    config += ["--disable-error-code", "import-untyped"]
    # Strict mode includes all that mypy reports by default, so one run is enough.
    _agrees(["mypy", *config, "--strict", *chosen], sources)


def _agrees(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

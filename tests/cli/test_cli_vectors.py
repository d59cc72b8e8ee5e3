"""``rnnspec build`` with pretrained vectors: its output, the written files, and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import require

from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.needs import FILES
from rnnspec.cli import progress

# Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Run = Callable[..., Any]
LOAD = {
    "keras": "keras.saving.load_model('made.keras').get_layer('embedding_1').get_weights()[0]",
    "torch": "safetensors.numpy.load_file('made/small.safetensors')['embedding_1.weight']",
    "jax": "safetensors.numpy.load_file('made/small.safetensors')['embedding_1.embedding']",
    "c": "rnnspec.backends.get('c').runtime.reload(Path('made'), 'small', "
    "pipeline.generate(pipeline.read('specs/small.yaml'), rnnspec.backends.get('c')).source)"
    ".arrays['embedding_1', 'embeddings']",
    "onnx": "onnx.numpy_helper.to_array(onnx.load('made.onnx').graph.initializer[0])",
}


@pytest.fixture
def spec() -> str:
    Path("specs").mkdir()
    Path("specs/words.txt").write_text("the\nof\nand\n")
    Path("specs/vectors.txt").write_text("of 0.5 0.25\nthe 1 2\n")
    Path("specs/small.yaml").write_text(
        "version: 1\nname: small\nrnn: {type: simple, units: 2}\n"
        "embedding: {vocabulary: 5, dim: 2, weights: vectors.txt, words: words.txt}\n"
    )
    return "specs/small.yaml"


@pytest.mark.needs(FILES)
def test_says_what_was_found_and_writes_it(run: Run, spec: str, backend: str) -> None:
    require(backend, FILES, spec)
    ran = run("build", spec, "-b", backend, "-o", f"made{get(backend).suffix}")
    assert (ran.code, ran.err) == (0, "")
    assert (
        "Read 2 vectors from specs/vectors.txt\n"
        "1 of 3 words has no vector in specs/vectors.txt; it keeps its random initial row\n"
    ) in ran.out
    namespace: dict[str, Any] = {"Path": Path, "pipeline": pipeline}
    module = LOAD[backend].partition(".load" if backend in ("torch", "jax") else ".")[0]
    exec(f"import {module}\nrows = {LOAD[backend]}", namespace)
    np.testing.assert_array_equal(namespace["rows"][:2], [[1, 2], [0.5, 0.25]])


@cases(
    ("name", "content", "code", "error"),
    [
        ("vectors.txt", None, 2, "specs/vectors.txt: error: no such file\n"),
        ("words.txt", None, 2, "specs/words.txt: error: no such file\n"),
        ("words.txt", "a\na\n", 1, "specs/words.txt:2:1: error: duplicate word; the first one is "),
        ("vectors.txt", "the 1\n", 1, "specs/vectors.txt:1:1: error: expected 3 fields, "),
        ("vectors.txt", "the \x1b[0m 1\n", 1, "specs/vectors.txt:1:5: error: expected a number"),
    ],
)
def test_a_wrong_file_is_one_message(
    run: Run, spec: str, *, name: str, content: str | None, code: int, error: str
) -> None:
    require("torch")
    path = Path("specs", name)
    before = path.read_text()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    ran = run("build", spec, "-b", "torch", "-o", "made")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(error)
    assert not list(Path().glob("made*"))
    for command in (["validate", spec], ["summary", spec], ["codegen", spec, "-b", "torch"]):
        assert run(*command).code == 0
    path.write_text(before)


class Bar:
    """A replacement for the progress bar."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def __call__(self, total: int) -> Any:
        self.told.append(total)
        return self

    def __enter__(self) -> Callable[[int], None]:
        return self.told.append

    def __exit__(self, *_: object) -> None:
        self.told.append(-1)


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    made = Bar()
    monkeypatch.setattr(progress, "_bytes", made)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    return made


def test_a_large_file_has_a_bar(bar: Bar) -> None:
    with progress.reading() as told:
        told(1, 2**26)
        told(2**26, 2**26)
    assert bar.told == [2**26, 1, 2**26, -1]


def test_a_small_file_or_no_terminal_has_none(bar: Bar, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.reading() as told:
        told(1, 2**20)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    with progress.reading() as told:
        told(1, 2**26)
    assert bar.told == []


OUTSIDE = [
    ("validate",),
    ("lint",),
    ("summary",),
    ("draw", "-o", "a.svg"),
    ("codegen", "-b", "torch"),
]


@pytest.fixture
def outside(spec: str) -> str:
    """The same spec, with its words outside its folder."""
    Path("specs/words.txt").rename("words.txt")
    text = Path(spec).read_text().replace("words.txt", "../words.txt")
    Path(spec).write_text(text)
    return spec


@cases("command", OUTSIDE)
def test_a_file_outside_the_folder_of_the_spec_is_asked_for(
    run: Run, outside: str, command: tuple[str, ...]
) -> None:
    refused = run(*command, outside)
    assert refused.code == 1
    wanted = f"{outside}:4:65: error: embedding.words: expected a path inside the folder"
    assert wanted in refused.err
    assert run(*command, outside, "--allow-outside").code == 0


def test_a_file_outside_the_folder_of_the_spec_is_read_when_asked_for(
    run: Run, outside: str
) -> None:
    pytest.importorskip("torch")
    assert run("build", outside, "-b", "torch").code == 1
    ran = run("build", outside, "-b", "torch", "--allow-outside")
    assert (ran.code, ran.err) == (0, "")
    assert "Read 2 vectors" in ran.out


def test_a_link_out_of_the_folder_is_not_followed_unasked(run: Run, spec: str) -> None:
    pytest.importorskip("torch")
    Path("specs/words.txt").rename("words.txt")
    Path("specs/words.txt").symlink_to(Path("words.txt").absolute())
    refused = run("build", spec, "-b", "torch")
    assert refused.code == 1
    assert refused.err == (
        "specs/words.txt: error: is outside the folder of the spec; "
        "--allow-outside or allow_outside=True permits this [E603]\n"
    )
    assert run("build", spec, "-b", "torch", "--allow-outside").code == 0


def test_a_link_within_the_folder_is_followed(run: Run, spec: str) -> None:
    pytest.importorskip("torch")
    Path("specs/words.txt").rename("specs/kept.txt")
    Path("specs/words.txt").symlink_to("kept.txt")
    assert run("build", spec, "-b", "torch").code == 0

"""Pretrained vectors: every format, the position of each fault, and the use of memory."""

from __future__ import annotations

import os
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import require, require_source
from safetensors.numpy import save_file

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.backends.needs import level
from rnnspec.comparison.levels import DEFAULT_LEVEL
from rnnspec.errors import OutOfMemoryError, SpecError, UsageError
from rnnspec.models import building
from rnnspec.vectors import lines

SPEC = """\
version: 1
name: tagged
embedding: {{vocabulary: {vocabulary}, dim: {dim}, weights: {weights}, words: words.txt}}
rnn: {{type: gru, units: 2}}
"""
WORDS = "the\n\nof\nNew York\ncafé\n"
TEXT = "the 1 2 3\nof -0.5 1e-3 .25\ncafé 7 8 9\nnever 0 0 0\n"


class Case:
    """A spec, its words and its vectors, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words(WORDS)

    def words(self, content: str | bytes) -> None:
        raw = content if isinstance(content, bytes) else content.encode()
        (self.folder / "words.txt").write_bytes(raw)

    def spec(
        self, content: str | bytes, name: str = "v.txt", vocabulary: int = 6, dim: int = 3
    ) -> str:
        raw = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(raw)
        return self.written(name, vocabulary, dim)

    def written(self, name: str, vocabulary: int = 6, dim: int = 3) -> str:
        path = self.folder / "tagged.yaml"
        path.write_text(SPEC.format(weights=name, vocabulary=vocabulary, dim=dim))
        return str(path)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def read(spec: str) -> Any:
    (vectors,) = building.pretrained_vectors(pipeline.read(spec))
    return vectors


def found(spec: str) -> dict[int, list[float]]:
    vectors = read(spec)
    return {int(row): vectors.rows[row].tolist() for row in np.flatnonzero(vectors.in_file)}


def message(spec: str) -> str:
    """Return the first line of the error, without the folder."""
    with pytest.raises(SpecError) as raised:
        read(spec)
    return str(raised.value).replace(f"{Path(spec).parent}/", "").splitlines()[0]


ROWS = {
    0: [1.0, 2.0, 3.0],
    2: [-0.5, float(np.float32(1e-3)), 0.25],
    4: [7.0, 8.0, 9.0],
}


@cases(
    "text",
    {
        "as GloVe writes it": TEXT,
        "with a header": "4 3\n" + TEXT,
        "no last line feed": TEXT.removesuffix("\n"),
        "a blank last line": TEXT + "\n",
        "CRLF": TEXT.replace("\n", "\r\n"),
        "as fastText writes it": ("4 3\n" + TEXT).replace("\n", " \r\n"),
        "byte order mark": "\ufeff" + TEXT,
        "byte order mark and header": "\ufeff4 3\n" + TEXT,
        "tabs": TEXT.replace(" ", "\t"),
        "the first of two": TEXT + "the 4 5 6\n",
        "an empty word": " 5 6 7\n" + TEXT,
        "a line that is indented": TEXT.replace("of", " of"),
        "a word that begins with another": "of the 1 2 3\n" + TEXT,
        "a word that only looks alike": "the_ 1 2 3\nthe\xa0 1 2 3\n" + TEXT,
        "a line that nobody wants": "never 1 x\n" + TEXT,
    },
)
def test_text_is_read(case: Case, text: str) -> None:
    assert found(case.spec(text)) == ROWS


def test_a_word_with_spaces(case: Case) -> None:
    text = "New Jersey 0 0 0\nNew York 4 5 6\nNew 1 1 1\nNew York City 2 2 2\n"
    assert found(case.spec(text)) == {3: [4.0, 5.0, 6.0]}


def test_a_word_that_is_a_number_and_one_number_a_word(case: Case) -> None:
    case.words("7\n8 9\n")
    assert found(case.spec("7 1 2 3\n8 9 1 2 4\n")) == {0: [1, 2, 3], 1: [1, 2, 4]}
    assert found(case.spec("7 1.5\n8 9 2\n", dim=1)) == {0: [1.5], 1: [2]}


def test_words_may_have_any_line_break_and_a_mark(case: Case) -> None:
    case.words("\ufeffthe\r\n\r\nof\r\nNew York\r\ncafé")
    assert found(case.spec(TEXT)) == ROWS
    case.words(WORDS + "\n\n\n\n")  # blank lines beyond the vocabulary are ignored
    assert found(case.spec(TEXT)) == ROWS


def arrays(folder: Path, rows: Any, dtype: str = "f4") -> list[str]:
    """Write the same vectors in each format of an array, and return the file names."""
    made = np.asarray(rows, dtype)
    np.save(folder / "v.npy", made)
    np.save(folder / "fortran.npy", np.asfortranarray(made))
    np.save(folder / "BIG.NPY.npy", made.astype(made.dtype.newbyteorder(">")))
    save_file({"anything": made, "bias": np.zeros(3, "f4")}, folder / "v.safetensors")
    save_file({"embeddings": made, "x": np.zeros((2, 2), "f4")}, folder / "named.safetensors")
    return ["v.npy", "fortran.npy", "BIG.NPY.npy", "v.safetensors", "named.safetensors"]


@cases("dtype", ["f2", "f4", "f8"])
def test_arrays_are_read(case: Case, dtype: str) -> None:
    rows = np.arange(12).reshape(4, 3) / 4
    rows[1] = np.nan  # the vector of the token without a word is never read
    wanted = {row: rows[row].tolist() for row in (0, 2, 3)}
    for name in arrays(case.folder, rows, dtype):
        spec = case.written(name)
        assert found(spec) == wanted, name
        assert read(spec).report() == (
            f"Read 3 vectors from {case.folder / name}",
            f"1 of 4 words has no vector in {case.folder / name}; it keeps its random initial row",
        )


def test_says_how_many_have_none(case: Case) -> None:
    path = case.folder / "v.txt"
    assert read(case.spec("the 1 2 3\n")).report() == (
        f"Read 1 vector from {path}",
        f"3 of 4 words have no vector in {path}; they keep their random initial rows",
    )
    case.words("the\n")
    assert read(case.spec("the 1 2 3\n")).report() == (f"Read 1 vector from {path}",)


@cases(
    ("text", "expected"),
    [
        ("of 1 2 3\nthe 1 2\n", "2:1: error: expected 4 fields, a word and 3 numbers, received 3"),
        ("the 1 2 3 4\n", "1:1: error: expected 4 fields, a word and 3 numbers, received 5"),
        ("the\n", "1:1: error: expected 4 fields, a word and 3 numbers, received 1"),
        ("5 4\nthe 1 2 3 4\n", "1:3: error: expected vectors of 3 numbers, received 4"),
        ("café 1 x 3\n", "1:8: error: expected a number, received 'x'"),
        ("x 1\nthe 1 2 1,5\n", "2:9: error: expected a number, received '1,5'"),
        ("the 1 1_0 3\n", "1:7: error: expected a number, received '1_0'"),
        ("the 1 2 é\n", "1:9: error: expected a number, received 'é'"),
        (
            "the nan 2 3\n",
            "1:5: error: expected a finite number that float32 can hold, received 'nan'",
        ),
        (
            "the 1 -inf 3\n",
            "1:7: error: expected a finite number that float32 can hold, received '-inf'",
        ),
        (
            "of 1 1 1\r\nthe 1 1e39 3\r\n",
            "2:7: error: expected a finite number that float32 can hold, received '1e39'",
        ),
        ("THE 1 2 3\n", " error: contains none of the 4 words of words.txt"),
        ("", " error: contains none of the 4 words of words.txt"),
        ("\n\n", " error: contains none of the 4 words of words.txt"),
        (
            "9 3\nthe 1 2 3\n",
            " error: expected 9 lines after the header, which gives this number, received 1: ",
        ),
        (b"of 1 2 3\nn\xe9 1 2 3\n", "2:2: error: expected UTF-8 text, received byte 0xE9"),
        (b"1 3\nthe \0\0\0\0", "2:5: error: expected UTF-8 text, received byte 0x00"),
        ("the 1 2 3\n".encode("utf-16"), "1:1: error: expected UTF-8 text, received byte 0x"),
    ],
)
def test_wrong_text(case: Case, text: str | bytes, expected: str) -> None:
    assert message(case.spec(text)).startswith(f"v.txt:{expected}")


def test_the_place_is_underlined(case: Case) -> None:
    with pytest.raises(SpecError) as raised:
        read(case.spec("4 3\ncafé 1 x 3\n"))
    assert str(raised.value).splitlines()[1:] == ["  2 | café 1 x 3", "    |        ^"]


def test_a_line_without_end(case: Case) -> None:
    text = b"the 1 2 3\r" * 500_000
    assert message(case.spec(text)) == (
        "v.txt: error: expected lines of at most 4,194,304 bytes, received a longer one [E621]"
    )


@cases(
    ("words", "expected"),
    [
        ("a\nb\n\na\nb\n", ["4:1: error: duplicate word; the first one is on line 1",
                            "5:1: error: duplicate word; the first one is on line 2"]),
        ("a\nb\nc\nd\ne\nf\ng\nh", ["7:1: error: expected at most 6 lines, one per token"]),
        ("", [" error: expected one word per line, received no words"]),
        (" \r\n\n", [" error: expected one word per line, received no words"]),
        (b"caf\xc3\xa9\n\xc3\xa9\xe9\n", ["2:2: error: expected UTF-8 text, received byte"]),
    ],
)  # fmt: skip
def test_wrong_words(case: Case, words: str | bytes, expected: list[str]) -> None:
    case.words(words)
    with pytest.raises(SpecError) as raised:
        read(case.spec(TEXT))
    shown = str(raised.value).replace(f"{case.folder}/", "").splitlines()
    for line, start in zip((each for each in shown if "error" in each), expected, strict=True):
        assert line.startswith(f"words.txt:{start}")


def test_not_more_problems_than_a_person_reads(case: Case) -> None:
    case.words("a\n" * 1000)
    with pytest.raises(SpecError) as raised:
        read(case.spec(TEXT, vocabulary=1000))
    assert len(raised.value.problems) == 20


@cases(
    ("rows", "expected"),
    [
        (np.ones((4, 2)), "expected the shape (5, 3), received (4, 2) [E625]"),
        (
            np.ones((6, 3)),
            "expected at most 5 rows, one for each line of words.txt, received 6 [E625]",
        ),
        (np.ones((0, 3)), "contains none of the 4 words of words.txt [E628]"),
        (
            [[1, 1, 1], [2, 2, 2], [0, np.inf, 0]],
            "row 2: expected finite numbers that float32 can hold, received others [E626]",
        ),
        (
            np.full((1, 3), 1e300),
            "row 0: expected finite numbers that float32 can hold, received others [E626]",
        ),
    ],
)
def test_wrong_arrays(case: Case, rows: Any, expected: str) -> None:
    for name in arrays(case.folder, rows, "f8"):
        assert message(case.written(name)) == f"{name}: error: {expected}"


def test_arrays_of_another_rank_or_type(case: Case) -> None:
    np.save(case.folder / "v.npy", np.ones((4, 3), "i4"))
    assert message(case.written("v.npy")).endswith("floating-point numbers, received int32 [E626]")
    np.save(case.folder / "v.npy", np.ones(12))
    assert message(case.written("v.npy")).endswith("the shape (5, 3), received (12,) [E625]")
    made = np.ones((4, 3), "f4")
    for tensors, expected in (
        ({"embeddings": made.astype("i4")}, "expected F16, F32, F64 numbers, received I32 [E626]"),
        ({"embeddings": made[0]}, "expected the shape (5, 3), received (3,) [E625]"),
        ({"a": made[0]}, "float matrix, or one called 'embeddings', received none [E625]"),
        ({"a": made, "b": made}, "or one called 'embeddings', received 'a', 'b' [E625]"),
    ):
        save_file(tensors, case.folder / "v.safetensors")
        assert message(case.written("v.safetensors")).endswith(expected)


def test_bfloat16_is_refused(case: Case) -> None:
    header = b'{"e":{"dtype":"BF16","shape":[1,3],"data_offsets":[0,6]}}'
    raw = len(header).to_bytes(8, "little") + header + bytes(6)
    spec = case.spec(raw, "v.safetensors")
    assert message(spec).endswith("expected F16, F32, F64 numbers, received BF16 [E626]")


@cases("shape", ["[-1,-3]", "[true,3]"])
def test_a_size_that_is_none(case: Case, shape: str) -> None:
    header = f'{{"e":{{"dtype":"F32","shape":{shape},"data_offsets":[0,12]}}}}'.encode()
    raw = len(header).to_bytes(8, "little") + header + bytes(12)
    expected = "expected a matching dtype, shape and data_offsets, received others [E624]"
    assert message(case.spec(raw, "v.safetensors")).endswith(expected)


@cases("name", ["v.npy", "v.safetensors"])
def test_arrays_cut_short_or_broken(case: Case, name: str) -> None:
    arrays(case.folder, np.ones((4, 3)))
    spec = case.written(name)
    whole = (case.folder / name).read_bytes()
    random = np.random.default_rng(0)
    for size in range(len(whole)):
        (case.folder / name).write_bytes(whole[:size])
        assert message(spec).startswith(f"{name}: error: expected ")
    for _ in range(300):
        broken = bytearray(whole)
        for at in random.integers(0, 128, 2):
            broken[at] = random.integers(0, 256)
        (case.folder / name).write_bytes(broken)
        with suppress(SpecError):
            read(spec)


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(case: Case) -> None:
    np.save(case.folder / "v.npy", np.array([[Bomb()] * 3], object), allow_pickle=True)
    assert "Python objects" in message(case.written("v.npy"))
    for name in ("v.npy", "v.safetensors", "v.txt"):
        message(case.spec(pickle.dumps(Bomb()), name))


@cases("name", ["v.txt", "v.npy", "v.safetensors"])
def test_files_that_cannot_be_read(case: Case, name: str) -> None:
    case.words(WORDS)
    spec = case.written(name)
    with pytest.raises(UsageError, match=f"{name}: error: no such file$"):
        read(spec)
    (case.folder / name).mkdir()
    with pytest.raises(UsageError, match=f"{name}: error: expected a file, received a folder$"):
        read(spec)
    (case.folder / "words.txt").unlink()
    with pytest.raises(UsageError, match=r"words.txt: error: no such file$"):
        read(spec)


def test_paths_that_lead_nowhere(case: Case) -> None:
    (case.folder / "loop").symlink_to("loop")
    far = "x" * 5_000
    for name, reason in (
        ("loop", "Too many levels of symbolic links"),
        (far, "File name too long"),
    ):
        spec = case.written(name)
        for allow_outside in (False, True):
            loaded = rnnspec.load(spec, allow_outside=allow_outside)
            with pytest.raises(UsageError, match=f"{name[-9:]}: error: cannot be read: {reason}$"):
                building.pretrained_vectors(pipeline.program(loaded))


@cases("read_path", [lines.resolve, lambda path: next(lines.blocks(path))])
def test_a_path_that_is_none(read_path: Callable[[Path], object]) -> None:
    with pytest.raises(UsageError, match=r"error: cannot be read: "):
        read_path(Path("a\0b"))


@cases("version", [1, 2])
def test_a_header_that_is_too_long_brings_no_advice_to_trust_it(case: Case, version: int) -> None:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }" + b" " * 20_000 + b"\n"
    size = len(text).to_bytes(2 * version, "little")
    spec = case.spec(b"\x93NUMPY" + bytes([version, 0]) + size + text + bytes(48), "v.npy")
    assert message(spec) == (
        "v.npy: error: expected a header of at most 10,000 bytes, received 20,060 [E624]"
    )


def test_only_what_is_wanted_is_held(case: Case) -> None:
    line = b"w%d " + b" ".join([b"0.12345"] * 30) + b"\n"
    raw = b"".join(line % number for number in range(25_000)) + b"the " + line.split(b" ", 1)[1]
    spec = case.spec(raw, dim=30)
    assert len(raw) > 6e6
    loaded = rnnspec.load(spec)
    told: list[tuple[int, int]] = []
    del raw
    tracemalloc.start()
    try:
        (vectors,) = building.pretrained_vectors(
            pipeline.program(loaded), lambda *each: told.append(each)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert vectors.number_found == 1
    size = (case.folder / "v.txt").stat().st_size
    assert peak < 1.6e6  # a few blocks
    assert len(told) == -(-size // 2**18)
    assert told == sorted(told)
    assert told[-1] == (size, size)


@cases("name", ["v.npy", "v.safetensors"])
def test_arrays_are_not_held_twice(case: Case, name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(70_000, 40)).astype("f4")
    arrays(case.folder, rows)
    case.words("\n".join(f"w{number}" for number in range(len(rows))))
    loaded = rnnspec.load(case.written(name, vocabulary=len(rows), dim=40))
    told: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        (vectors,) = building.pretrained_vectors(
            pipeline.program(loaded), lambda *each: told.append(each)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert vectors is not None
    np.testing.assert_array_equal(vectors.rows, rows)
    words = 70_000 * 120  # the size in bytes of a dictionary of words
    assert peak < rows.nbytes + words + 1.5 * 2**22
    assert len(told) == 3
    assert told[-1] == (rows.nbytes, rows.nbytes)


@pytest.mark.parametrize("text", [TEXT, ""])
def test_arrays_larger_than_the_memory(case: Case, backend: str, text: str) -> None:
    path = case.spec(text, vocabulary=2**31 - 1, dim=2**20)
    if not text:
        written = Path(path).read_text().replace(", weights: v.txt, words: words.txt", "")
        Path(path).write_text(written)
    require(backend, path)
    with pytest.raises(
        OutOfMemoryError,
        match=r"^rnnspec: error: out of memory: the arrays of tagged, .*this machine has ",
    ):
        rnnspec.build(path, backend, seed=1)


def test_reading_ends_with_the_last_word(case: Case) -> None:
    case.words("the\nof\n")
    spec = case.spec("9 3\nof 1 2 3\nthe 4 5 6\nof x\n")
    assert found(spec) == {0: [4.0, 5.0, 6.0], 1: [1.0, 2.0, 3.0]}


@pytest.mark.parametrize("seed", [None, 3])
def test_a_model_has_them_and_keeps_its_other_rows(
    case: Case, backend: str, seed: int | None
) -> None:
    spec = case.spec(TEXT)
    require(backend, spec)
    made = rnnspec.read_weights(rnnspec.build(spec, backend, seed=seed))
    rows = made["embedding_1.embeddings"]
    assert {row: rows[row].tolist() for row in ROWS} == ROWS
    drawn = rows[[1, 3, 5]]
    assert ((drawn != 0) & (np.abs(drawn) <= 0.05)).all()
    if seed is not None:
        plain = Path(spec).read_text().replace("weights: v.txt, words: words.txt", "name: e")
        other = rnnspec.read_weights(rnnspec.build(rnnspec.loads(plain), backend, seed=seed))
        np.testing.assert_array_equal(drawn, other["e.embeddings"][[1, 3, 5]])


def test_backends_start_from_the_same_bits(case: Case) -> None:
    for each in ("keras", "torch"):
        pytest.importorskip(each)
    spec = case.spec(TEXT.replace("1e-3", "0.1"))
    one, other = (rnnspec.read_weights(rnnspec.build(spec, b, seed=1)) for b in ("keras", "torch"))
    assert one.keys() == other.keys()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_frozen_rows_are_counted_as_such_and_parity_opens_no_file(case: Case, backend: str) -> None:
    spec = case.spec(TEXT)
    require(backend, level(DEFAULT_LEVEL), spec)
    text = Path(spec).read_text().replace("vocabulary", "trainable: false, vocabulary")
    Path(spec).write_text(text)
    assert rnnspec.summary(spec).parameters.non_trainable == 18
    model = rnnspec.build(spec, backend)
    assert BACKENDS[backend].runtime.counts(model).non_trainable == 18
    (case.folder / "v.txt").unlink()
    assert rnnspec.parity(spec, [backend]).equal


def test_source_says_where_they_are_and_no_file_is_opened(case: Case, backend: str) -> None:
    spec = case.written("none.txt")
    (case.folder / "words.txt").unlink()
    require_source(backend, spec)
    source = rnnspec.codegen(spec, backend)
    start = " *" if source.startswith("/*") else "#"
    text = f"{start} The vectors of none.txt for the words of words.txt are not in this file: "
    assert text in source
    Path(spec).write_text(Path(spec).read_text() + "description: Free text.\n")
    assert f"{start} Free text.\n{start} The vectors of" in rnnspec.codegen(spec, backend)


def test_a_text_reads_from_the_current_folder(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(case.spec(TEXT)).read_text()
    monkeypatch.chdir(case.folder)
    (vectors,) = building.pretrained_vectors(pipeline.reads(text))
    assert vectors.report()[0] == "Read 3 vectors from v.txt"


def test_each_input_has_vectors_of_its_own(case: Case) -> None:
    one = case.spec(TEXT)
    own = "{vocabulary: 6, dim: 3, weights: v.txt, words: words.txt}"
    Path(one).write_text(
        f"version: 1\nname: two\ninputs: {{a: {{embedding: {own}}}, b: {{embedding: {own}}}}}\n"
        "rnn: [{type: add, of: [a, b]}, {type: lstm, units: 2}]\n"
    )
    vectors = building.pretrained_vectors(pipeline.read(one))
    assert [own.array for own in vectors] == ["a_embedding.embeddings", "b_embedding.embeddings"]
    assert [own.number_found for own in vectors] == [3, 3]


def test_a_spec_without_them_reads_nothing() -> None:
    text = SPEC.format(vocabulary=6, dim=3, weights="x").replace("weights: x, words: words.txt", "")
    assert building.pretrained_vectors(pipeline.reads(text)) == ()


@pytest.mark.skipif(os.name == "nt", reason="the file that is open keeps its folders in place")
@cases("name", ["v.txt", "v.npy", "v.safetensors"])
def test_a_folder_that_becomes_a_link_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    inner, secret = tmp_path / "net" / "inner", tmp_path / "secret"
    inner.mkdir(parents=True)
    case = Case(tmp_path / "net")
    case.written(f"inner/{name}")
    path = inner / name
    rows = np.ones((5, 3), "f4")
    match path.suffix:
        case ".txt":
            path.write_text("the 1 1 1\n")
        case ".npy":
            np.save(path, rows)
        case _:
            save_file({"embeddings": rows}, path)
    shutil.copytree(inner, secret)
    opening = os.open

    def swap(place: Any, *args: Any, **options: Any) -> int:
        # After the check of the whole path, and before any folder or file of it is opened.
        if Path(place).name in ("net", name) and not inner.is_symlink():
            inner.rename(tmp_path / "moved")
            inner.symlink_to(secret)
        return opening(place, *args, **options)

    program = pipeline.read(tmp_path / "net" / "tagged.yaml")
    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(UsageError):
        building.pretrained_vectors(program)

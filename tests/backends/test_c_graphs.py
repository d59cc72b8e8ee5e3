"""C: graphs of layers, with a pointer for each input and each output, and a begin of sequences."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import JOINED, PAIR, STREAMED, WAITING

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.c.arrays import stored_arrays
from rnnspec.backends.c.filled import array_bytes
from rnnspec.backends.c.source import Blob, CSource
from rnnspec.backends.contract import SourceOptions
from rnnspec.errors import UsageError
from rnnspec.ir.forms import Form
from rnnspec.models.building import Output, build_model

TRANSLATOR = """\
version: 1
name: translator
inputs:
  source: {features: 3, mask_value: 0}
  target: {features: 2}
stream: target
rnn:
  - {type: conv, of: source, filters: 3, kernel_size: 2, stride: 2, name: fewer}
  - {type: gru, units: 3, of: target, name: decoder, attention: {over: source, score: dot}}
  - {type: attention, of: decoder, over: fewer, score: additive, units: 4}
head: {pooling: none, units: 2}
"""


def declarations(text: str, form: str) -> list[str]:
    """Return the functions of a header, each in one line"""
    source = rnnspec.codegen(rnnspec.loads(text), "c", form=form).partition("_IMPLEMENTATION\n\n")
    found = re.findall(r"^(?:int|void|float) \w+\([^;]*\);", source[0], re.MULTILINE)
    return [re.sub(r"\s+", " ", one) for one in found]


def test_inputs_are_pointers_of_their_names() -> None:
    (run, _) = declarations(JOINED, "inference")
    assert run == (
        "int joined_run(const int32_t *words, const float *power, const float *plain, "
        "size_t steps, const float *basin, int32_t user, float *y_one, float *y_two, "
        "float *y_three, float *workspace);"
    )
    begin, step, chunk, _ = declarations(STREAMED, "step")
    assert begin == (
        "int streamed_begin(streamed_state *state, int32_t speaker, const int32_t *prompt, "
        "size_t prompt_steps, float *workspace);"
    )
    outputs = "float *y_speech, float *y_voice, float *y_state);"
    assert step == f"int streamed_step(streamed_state *state, const float *audio, {outputs}"
    assert chunk == (
        f"int streamed_chunk(streamed_state *state, const float *audio, size_t steps, {outputs}"
    )
    # Names of variables and of functions, those of the library that is called, too.
    parameters = "const float *rnnspec_see_, size_t rnnspec_see_steps, "
    assert parameters in declarations(PAIR, "inference")[0]
    parameters = "size_t right_steps, const float *pair_run_, int32_t work_, float *y_a,"
    assert parameters in declarations(PAIR, "inference")[0]


def batch_of(**changes: Any) -> dict[str, Any]:
    """Return a batch of two sequences for ``JOINED``, with other arrays for some inputs."""
    arrays = {"words": np.ones((2, 5), int), "user": np.ones(2, int), "basin": np.ones((2, 2))}
    arrays |= {"power": np.ones((2, 5, 3)), "plain": np.ones((2, 5, 1))}
    return {name: array for name, array in (arrays | changes).items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": None}, "expected the inputs words, power, plain, basin, user, received words, "),
        ({"plain": np.ones((2, 4, 1))}, "the same number of steps, received 5 of words, 5 of pow"),
        ({"basin": np.ones((3, 2))}, "the same number of sequences, received 2 of words, 2 of pow"),
        ({"basin": np.ones((2, 2, 1))}, r"basin: expected \(batch, 2\), received \(2, 2, 1\)"),
        ({"user": np.ones(2)}, "user: expected integers as labels, received float64"),
        ({"user": np.array([1, 5])}, "tokens of words from 0 to 5 and labels of user from 0 to 4"),
        ({"words": np.ones((2, 1), int)}, "the same number of steps, received 1 of words"),
    ],
)
def test_batches_that_do_not_fit(joined: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        joined(batch_of(**changes))


@pytest.fixture(scope="module")
def joined() -> Any:
    """Return a model of ``JOINED``."""
    return rnnspec.build(rnnspec.loads(JOINED), "c", seed=1)


def test_inputs_are_arguments_or_a_mapping(joined: Any) -> None:
    outputs = joined(**batch_of())
    assert {name: array.shape for name, array in outputs.items()} == {
        "one": (2, 2),
        "two": (2, 4),
        "three": (2, 4, 2),
    }
    for name, array in joined(batch_of()).items():
        np.testing.assert_array_equal(array, outputs[name])
    with pytest.raises(UsageError, match="expected inputs by name: words, power, plain, basin, us"):
        joined(np.ones((2, 5)))


def test_a_sequence_in_chunks_waits_for_its_windows() -> None:
    model = rnnspec.build(rnnspec.loads(WAITING), "c", form="step")
    x = np.ones((2, 7, 3))
    with pytest.raises(UsageError, match="expected 5 steps in the first chunk, received 4"):
        model.step(x[:, :4])
    outputs, states = model.step(x[:, :5])
    assert states["near_inputs"].shape == (2, 2, 3)
    shapes = {"soon": (2, 3, 2), "later": (2, 1, 2), "last": (2, 2), "same": (2, 5, 2)}
    assert {name: array.shape for name, array in outputs.items()} == shapes
    outputs, _ = model.step(x[:, 5:], states)
    assert outputs["soon"].shape == outputs["later"].shape == (2, 2, 2)


def test_other_inputs_begin_a_sequence() -> None:
    model = rnnspec.build(rnnspec.loads(STREAMED), "c", form="step")
    with pytest.raises(UsageError, match=r"expected the states that model\.begin returns"):
        model.step(np.ones((2, 9, 3)))
    with pytest.raises(UsageError, match="prompt: expected 1 to 512 steps, received 513"):
        model.begin(speaker=np.ones(1, int), prompt=np.ones((1, 513), int))
    with pytest.raises(UsageError, match="labels of speaker from 0 to 3 and tokens of prompt from"):
        model.begin(speaker=np.full(1, 4), prompt=np.ones((1, 3), int))


def test_a_graph_of_int8_is_near_that_of_floats() -> None:
    program = pipeline.reads(STREAMED)
    exact = rnnspec.build(program.spec, "c", form="step", seed=1)
    generated = pipeline.generate(program, get("c"), "step", {"quantize": "int8"})
    rounded = pipeline.instantiate(generated, drawn=False)
    generated.store.write(rounded, generated.store.read(exact))
    inputs = {"speaker": np.array([1, 2]), "prompt": np.array([[1, 2, 0], [3, 4, 5]])}
    x = np.random.default_rng(0).standard_normal((2, 9, 3))
    outputs = [model.step(x, model.begin(inputs))[0] for model in (exact, rounded)]
    for name, array in outputs[0].items():
        assert 0 < np.abs(array - outputs[1][name]).max() < 0.02


def test_a_state_has_room_for_the_longest_memory() -> None:
    generated = pipeline.generate(
        pipeline.reads(TRANSLATOR), get("c"), "step", {"max_steps": 9, "quantize": "int8"}
    )
    structure = generated.text.partition("typedef struct {\n")[2].partition("} translator_state")[0]
    assert [line.strip() for line in structure.splitlines()] == [
        "float source_value[27]; /* (source_steps, 3) */",
        "size_t source_steps; /* at most 9 */",
        "unsigned char source_mask[9]; /* (source_steps), 0 at padding */",
        "float fewer_value[12]; /* (fewer_steps, 3) */",
        "size_t fewer_steps; /* at most 4 */",
        "unsigned char fewer_mask[4]; /* (fewer_steps), 0 at padding */",
        "float attention_1_keys_value[16]; /* (fewer_steps, 4) */",
        "float decoder_h[3]; /* (3) */",
    ]
    model = pipeline.instantiate(generated, drawn=True)
    source = np.ones((2, 9, 3))
    source[1] = 0.0
    states = model.begin(source=source[:, :7])
    shapes = {name: array.shape for name, array in states.items()}
    assert shapes["source_value"] == (2, 7, 3)
    assert shapes["fewer_mask"] == (2, 3)
    assert states["fewer_mask"].tolist() == [[True] * 3, [False] * 3]
    outputs, after = model.step(np.ones((2, 5, 2)), states)
    np.testing.assert_array_equal(after["attention_1_keys_value"], states["attention_1_keys_value"])
    assert np.isfinite(outputs).all()
    with pytest.raises(UsageError, match="source: expected 2 to 9 steps, received 10"):
        model.begin(source=np.ones((2, 10, 3)))
    states["fewer_mask"] = states["fewer_mask"][:, :2]
    with pytest.raises(
        UsageError, match=r"fewer_mask: expected the shape \(2, 3\), received \(2, "
    ):
        model.step(np.ones((2, 5, 2)), states)


def test_large_scores_do_not_overflow() -> None:
    """A score of 1e4 has no exponential; the highest one may be at any step."""
    model = rnnspec.build(rnnspec.loads(TRANSLATOR), "c", form="step", seed=1)
    source = np.random.default_rng(0).standard_normal((3, 6, 3)) * 1e4
    for order in (1, -1):
        # The first query is zeros.
        outputs, _ = model.step(np.ones((3, 3, 2)), model.begin(source=source[:, ::order]))
        assert np.isfinite(outputs).all()


def chain(layers: int) -> str:
    """Return source of layers that each read the two before."""
    rows = [f"- {{type: add, of: [l{at - 1}, l{at - 2}], name: l{at}}}" for at in range(2, layers)]
    first = "- {type: gru, units: 2, name: l0}\n- {type: dense, units: 2, name: l1}\n"
    text = f"version: 1\nname: net\ninput: {{features: 3}}\nrnn:\n{first}{chr(10).join(rows)}\n"
    return rnnspec.codegen(rnnspec.loads(f"{text}head: {{pooling: mean}}\n"), "c")


def test_memory_is_that_of_what_is_read_later() -> None:
    sizes = [re.findall(r"NET_WORKSPACE (\d+) ", chain(layers)) for layers in (10, 1900)]
    assert sizes[0] == sizes[1] == ["3176"]


@pytest.mark.parametrize("quantize", [{}, {"quantize": "int8"}], ids=["float", "int8"])
def test_the_header_says_how_much_memory_a_program_needs(quantize: SourceOptions) -> None:
    options: dict[str, str | int] = {"max_steps": 9, **quantize}
    generated = pipeline.generate(pipeline.reads(TRANSLATOR), get("c"), "step", options)
    text, source = generated.text, generated.source
    assert isinstance(source, CSource)
    # The state has floats, a number of steps and the bytes of a mask.
    types = {"float": np.float32, "size_t": np.uint64, "unsigned char": np.uint8}
    assert {member.number for member in source.members} == set(types)
    members = [
        (member.name, types[member.number], max(member.size, 1)) for member in source.members
    ]
    state = np.dtype(members, align=True).itemsize
    arrays = re.findall(r"^TRANSLATOR_ALIGNED static const (\w+) \w+\[(\d+)\]", text, re.MULTILINE)
    sizes = [int(size) * (1 if number == "int8_t" else 4) for number, size in arrays]
    assert sum(sizes) == array_bytes(text)
    lines = sum(-(-size // 64) for size in sizes)
    assert f"\n * Memory: {64 * lines:,} bytes of arrays, " in text
    assert f" for the self-test, and {state:,} for a state.\n" in text
    floats = max(map(int, re.findall(r"float workspace\[(\d+)\];", text)))
    assert f" bytes, and {4 * floats + 4096:,} of the stack, without libraries (gcc -O3, " in text


@pytest.mark.parametrize("form", ["inference", "step"])
def test_arrays_in_a_file_beside_the_source(form: Form, tmp_path: Path) -> None:
    # Large enough that int8 is smaller by whole cache lines.
    program = pipeline.reads(TRANSLATOR.replace("units: 4", "units: 64"))
    options: dict[str, str | int] = {"max_steps": 40, "weights": "blob"}
    for quantize in ({}, {"quantize": "int8"}):
        folder = tmp_path / f"net{len(quantize)}"
        build_model(program, get("c"), form, 1, Output(folder), options={**options, **quantize})
        assert sorted(path.suffix for path in folder.iterdir()) == [".bin", ".c", ".h"]
        assert "{\n    0." not in (folder / "translator.c").read_text().partition("self-test")[0]
    with pytest.raises(UsageError, match="expected text for a single header, received blob"):
        get("c").emitter.complete(program.network, {"weights": "blob", "single_header": True})


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_another_file_of_arrays_is_an_error_of_the_compiler_or_the_self_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "version: 1\nname: net\ninput: {features: 1}\nrnn: {type: gru, units: 9}\n"
    program = pipeline.reads(text)
    folders = [tmp_path / name for name in ("a \"b' c", "other seed")]
    # The assembler looks where it runs first: a file there must not be that of the build.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.bin").write_bytes(bytes(99999))
    for seed, folder in enumerate(folders):
        build_model(program, get("c"), "step", seed, Output(folder), options={"weights": "blob"})
    (tmp_path / "net.bin").unlink()
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nint main(void) {\n    net_state s;\n    float y[9];\n'
        "    return !(net_self_test(&s, y) <= 1e-6f);\n}\n"
    )
    blob, other = (folder / "net.bin" for folder in folders)
    content = blob.read_bytes()
    assert len(content) % 64 == 0
    places = Blob.of(tuple(stored_arrays(program.network, "portable"))).arrays
    assert len(places) > 1
    assert all(place.at % 64 == 0 for place in places)

    def compiled() -> str:
        words = ["gcc", "-I", str(folders[0]), "main.c", str(folders[0] / "net.c"), "-o", "main"]
        flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-lm"]
        return subprocess.run([*words, *flags], capture_output=True, text=True, check=False).stderr

    assert compiled() == ""
    assert subprocess.run(["./main"], check=False).returncode == 0
    for wrong in (content[:-64], content + bytes(64)):
        blob.write_bytes(wrong)
        assert "Error: net.bin is not in a folder of -I, or it is not that of net.c" in compiled()
    blob.write_bytes(other.read_bytes())
    assert compiled() == ""
    assert subprocess.run(["./main"], check=False).returncode == 1
    blob.unlink()
    assert '#error "net.bin is not there: it belongs beside net.c, ' in compiled()


def test_large_networks_have_their_arrays_in_a_file() -> None:
    complete = get("c").emitter.complete
    words = "version: 1\nname: net\nembedding: {vocabulary: %d, dim: 256}\n"
    layers = "rnn: {type: simple, units: 1}\nhead: {units: 1}\n"
    small, large = (pipeline.reads(words % count + layers) for count in (1022, 1023))
    assert complete(small.network, {}) == {}
    assert complete(large.network, {}) == {"weights": "blob"}
    assert complete(large.network, {"weights": "text"}) == {"weights": "text"}
    assert complete(large.network, {"single_header": True}) == {"single_header": True}

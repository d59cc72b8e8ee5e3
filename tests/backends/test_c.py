"""C: where arrays are stored, what is refused, and the length of lines."""

from __future__ import annotations

import ctypes
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import with_names

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import form_named, get
from rnnspec.backends.base import TEMPLATES
from rnnspec.backends.c.arrays import stored_arrays
from rnnspec.backends.c.backend import TARGETS
from rnnspec.backends.c.names import activation
from rnnspec.backends.contract import SourceOptions
from rnnspec.errors import UnsupportedError, UsageError
from rnnspec.ir.forms import Form
from rnnspec.models import saving
from rnnspec.models.building import Output, build_model
from rnnspec.source.render import environment
from rnnspec.words import Activation

LAYERS = """
version: 1
name: net
embedding: {vocabulary: 3, dim: %(inputs)d}
rnn:
- {type: %(type)s, units: %(units)d, bidirectional: %(both)s, bias: %(bias)s%(reset)s}
- {type: conv, filters: %(units)d, kernel_size: 3}
- {type: batch_norm}
head: {pooling: {attention: {units: %(units)d}}, units: 3}
"""


@settings(max_examples=40)
@given(
    type_=st.sampled_from(["simple", "lstm", "gru", "original"]),
    target=st.sampled_from(TARGETS),
    units=st.integers(1, 40),
    inputs=st.integers(1, 9),
    both=st.booleans(),
    bias=st.booleans(),
)
def test_every_array_is_stored_as_its_comment_says(
    type_: str, target: str, units: int, inputs: int, *, both: bool, bias: bool
) -> None:
    words = {"type": type_, "reset": "", "units": units, "inputs": inputs}
    words |= {"both": str(both).lower(), "bias": str(bias).lower()}
    if type_ == "original":
        words |= {"type": "gru", "reset": ", reset_after: false"}
    program = pipeline.program(rnnspec.loads(LAYERS % words))
    text = rnnspec.codegen(program.spec, "c", target=target)
    stored, lines = tuple(stored_arrays(program.network, target)), " ".join(text.split())
    for array in stored:
        numbers = np.arange(1.0, 1 + np.prod(array.shape)).reshape(array.shape)
        packed = array.stored({array.places[0]: numbers})[array.symbol]
        assert packed.shape == (array.size,)
        aligned = "" if target == "cortex-m" else "NET_ALIGNED "
        declared = f"{aligned}static const float {array.symbol}[{array.size}] = {{0}};"
        assert f"/* {array.comment} */ {declared} " in lines
        (restored,) = array.restored({array.symbol: packed}).values()
        np.testing.assert_array_equal(restored, numbers)
        # Nothing is there beside them.
        assert sorted(packed) == list(numbers.ravel())
        if array.path.endswith("recurrent_kernel"):
            letters = {"simple": "h", "lstm": "ifco"}.get(type_, "zrn")
            gates = numbers.reshape(units, len(letters), units)
            columns = gates[:, [letters.index(letter) for letter in array.gates or letters]]
            widths = [width for part in array.parts for width in part.widths]
            at, first = 0, 0
            for width in widths:
                group = packed[at : at + units * width].reshape(units, width)
                expected = columns.reshape(units, -1)[:, first : first + width]
                np.testing.assert_array_equal(group, expected)
                at, first = at + units * width, first + width


def test_every_target_computes_the_same() -> None:
    words = {"type": "gru", "reset": ", reset_after: false", "units": 13, "inputs": 5}
    spec = rnnspec.loads(LAYERS % (words | {"both": "true", "bias": "true"}))
    batch = np.random.default_rng(0).integers(0, 3, (4, 21))
    models = [rnnspec.build(spec, "c", seed=3, target=target) for target in TARGETS]
    assert len({model.text for model in models}) == len(TARGETS)
    for model in models[1:]:
        np.testing.assert_allclose(model(batch), models[0](batch), rtol=0, atol=1e-6)


NET = """
version: 1
name: %(name)s
input: {features: 2}
rnn:
- {type: lstm, name: %(first)s, units: %(units)d, bidirectional: %(both)s}
- {type: dense, name: %(second)s, units: %(wide)d}
%(more)s
"""


@pytest.mark.parametrize(
    ("words", "form", "key", "reason"),
    [
        ({"name": "stdio"}, "inference", "name", "in C, a header of the standard library"),
        ({"name": "features"}, "step", "name", "in C, a header of the standard library"),
        ({"name": "y_net"}, "inference", "name", "in C, the outputs have names that begin so"),
        ({"both": "true"}, "step", "bidirectional", "in step form, a backward direction"),
        ({"units": 9000}, "inference", "units", "parameters are too many for a program; at most"),
        (
            {"wide": 17_001, "more": "head: {units: 1}"},
            "step",
            "units",
            "bytes of the stack; at most 65,536",
        ),
    ],
)
def test_refusals(words: dict[str, object], form: str, key: str, reason: str) -> None:
    fitting = {
        "name": "net",
        "first": "first",
        "second": "second",
        "units": 3,
        "wide": 3,
        "both": "false",
        "more": "heads: {one: {units: 1}}" if form == "inference" else "",
    }
    with pytest.raises(UnsupportedError) as caught:
        rnnspec.codegen(rnnspec.loads(NET % (fitting | words)), "c", form=form)
    assert f".{key}: " in str(caught.value) or str(caught.value).startswith(
        f"{words.get('name')}: "
    )
    assert reason in str(caught.value)


def test_only_text_limits_the_number_of_parameters_in_files() -> None:
    text = "version: 1\nname: net\nembedding: {vocabulary: 90000, dim: 100}\n"
    program = pipeline.reads(f"{text}rnn: {{type: gru, units: 1}}\n")
    each: tuple[SourceOptions, ...] = ({"weights": "text"}, {"single_header": True})
    for options in each:
        with pytest.raises(UsageError, match="too many for text; at most 8,388,608 fit"):
            pipeline.arrange(program, get("c"), None, options)
    files = get("c").emitter.complete(program.network, {})
    assert files == {"weights": "blob"}
    pipeline.arrange(program, get("c"), None, files)


SAME = """
version: 1
name: net
input: {features: 2, length: 4}
rnn: [{type: conv, filters: 3, kernel_size: 2, padding: same, stride: 2}, {type: gru, units: 3}]
heads:
  one: {pooling: none}
  same: {pooling: none, dropout: 0.5}
  mean: {pooling: mean}
"""
PLAIN = """
version: 1
name: net
input: {features: 2}
rnn: {type: gru, units: 3}
"""
FLAT = """
version: 1
name: net
input: {features: 2, length: 4}
rnn: {type: gru, units: 3}
head: {pooling: flatten}
"""


@pytest.mark.parametrize("text", [SAME, FLAT], ids=["the output of one layer", "no layer"])
def test_heads_without_a_layer_of_their_own(text: str) -> None:
    assert rnnspec.parity(rnnspec.loads(text), ["c"], level="forward", dtype="float32").equal


@pytest.mark.parametrize("merge", ["sum", "mul", "ave"])
def test_a_forward_direction_adds_to_nothing(merge: str) -> None:
    text = PLAIN.replace("units: 3", f"units: 3, bidirectional: true, merge: {merge}")
    assert rnnspec.parity(rnnspec.loads(text), ["c"], level="forward", dtype="float32").equal


EQUAL = """
version: 1
name: net
input: {features: 1}
rnn: [{type: simple, units: 1}, {type: dense, units: %d}, {type: layer_norm, epsilon: 1e-12}]
"""


@pytest.mark.parametrize("units", [13, 3000])
def test_a_norm_of_equal_features_is_its_beta(units: int) -> None:
    model = rnnspec.build(rnnspec.loads(EQUAL % units), "c")
    values = {"bias": 0.7, "gamma": 1.0, "beta": np.arange(units)}
    for (_, path), array in model.arrays.items():
        array[...] = values.get(path, 0.0)
    model.changed = True
    np.testing.assert_array_equal(model(np.ones((1, 1, 1)))[0, 0], np.arange(units))


DESCRIPTION = """\
*/ #error 1 /* // C# and C++ ??/
#ifdef NET_IMPLEMENTATION
#ifndef NET_H
y is 7 numbers.
} net_state; y steps x ... \\
Arrays: zeros; 'rnnspec build' and 'rnnspec convert' fill them in.
"""


@pytest.mark.parametrize("form", ["inference", "step"])
def test_a_description_is_only_a_comment(form: str, tmp_path: Path) -> None:
    fitting = {"name": "net", "first": "one", "second": "two", "units": 3, "both": "false"}
    text = NET % (fitting | {"wide": 3, "more": ""}) + f"description: {json.dumps(DESCRIPTION)}\n"
    spec = rnnspec.loads(text)
    generated = pipeline.generate(pipeline.program(spec), get("c"), form_named(form))
    source, model = generated.text, rnnspec.build(spec, "c", form=form)
    assert " * * / #error 1 / * // C# and C++ ??/\n" in source
    runtime = get("c").runtime
    runtime.save(model, tmp_path, "net", source, text)
    again = runtime.reload(tmp_path, "net", generated.source)
    assert (tmp_path / "net.c").read_text().count("The spec:") == 1
    assert {key: array.tolist() for key, array in again.arrays.items()} == {
        key: array.tolist() for key, array in model.arrays.items()
    }


def test_no_array_has_the_name_of_a_function() -> None:
    template = environment(TEMPLATES / "c").get_template("kernels.c.j2")
    kernels = [activation(name).function for name in get_args(Activation) if name != "linear"]
    kernels += ["leaky_relus", "clipped_relus", "dot", "dot_int8", "product", "product_int8"]
    kernels += ["product_rows", "product_rows_int8"]
    text = template.render(p="net", functions=kernels, target="portable", widths=[64, 32, 16, 8, 1])
    layers = (TEMPLATES / "c" / "layers.c.j2").read_text()
    names = re.findall(r"macro (\w+)\(", layers)
    names += re.findall(r"net_(\w+)\(", text + rnnspec.codegen(rnnspec.loads(SAME), "c"))
    ends = ("embeddings", "kernel", "bias", "gamma", "beta", "mean", "variance", "query", "scale")
    assert {"recurrent", "tanh", "run", "self_test"} <= set(names)
    assert not [name for name in names if name.endswith(ends)]


def test_layers_have_any_name() -> None:
    spec = rnnspec.loads(with_names("net", "inference"))
    assert rnnspec.parity(spec, ["c"], level="forward", dtype="float32").equal


TIED = """
version: 1
name: net
embedding: {vocabulary: 7, dim: 5}
rnn: {type: lstm, units: 5}
head: {pooling: none, units: 7, tied: true}
"""
ROUNDED = {
    "tied": TIED,
    **{
        name: LAYERS
        % {"type": type_, "reset": reset, "units": 9, "inputs": 5, "both": both, "bias": "true"}
        for name, type_, reset, both in (
            ("lstm", "lstm", "", "true"),
            ("gru", "gru", "", "false"),
            ("original", "gru", ", reset_after: false", "true"),
        )
    },
    "equations": """\
version: 1
name: net
embedding: {vocabulary: 7, dim: 5}
cells:
  mgu:
    states: [h]
    equations:
      f: sigmoid(W_f @ x + U_f @ h + b_f)
      h: f * h + (1 - f) * tanh(W_h @ x + U_h @ (f * h) + b_h)
rnn: {type: mgu, units: 9, bidirectional: true}
""",
}


@pytest.mark.parametrize("target", ["portable", "cortex-m"])
@pytest.mark.parametrize("text", ROUNDED.values(), ids=ROUNDED)
def test_source_of_int8_computes_with_the_rounded_arrays(text: str, target: str) -> None:
    program, backend = pipeline.program(rnnspec.loads(text)), get("c")
    exact = rnnspec.build(program.spec, "c", seed=1, target=target)
    options = {"target": target, "quantize": "int8"}
    generated = pipeline.generate(program, backend, "inference", options)
    arrays, rounded = generated.store.read(exact), pipeline.instantiate(generated, drawn=False)
    generated.store.write(rounded, arrays)
    for stored in stored_arrays(program.network, target, rounded=True):
        names = {place: ".".join(place) for place in stored.places}
        kept = stored.stored({place: arrays[name] for place, name in names.items()})
        for place, restored in stored.restored(kept).items():
            array = arrays[names[place]]
            if stored.rounded:
                # The largest number of each scale is as far as a byte goes, and none is off by more
                # than half of one.
                assert np.abs(kept[stored.symbol]).max() == 127
                assert (np.abs(restored - array) <= 0.5001 * kept[stored.scale].max()).all()
                assert not np.array_equal(restored, array)
            arrays[names[place]] = restored
    generated.store.write(exact, arrays)
    batch = np.random.default_rng(0).integers(0, 3, (4, 21))
    np.testing.assert_allclose(rounded(batch), exact(batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["inference", "step"])
def test_the_self_test_of_a_file_finds_another_weight(form: Form, tmp_path: Path) -> None:
    program, backend = pipeline.program(rnnspec.loads(TIED)), get("c")
    generated = pipeline.generate(program, backend, form)
    model = rnnspec.build(program.spec, "c", seed=1, form=form)
    saving.write(generated, model, tmp_path, program.spec.document.text)
    again = backend.runtime.reload(tmp_path, "net", generated.source)
    buffers = [np.zeros(2**16, np.float32) for _ in range(2)]

    def largest() -> float:
        test = again.library.net_self_test
        test.restype = ctypes.c_float
        return float(test(*(ctypes.c_void_p(buffer.ctypes.data) for buffer in buffers)))

    assert largest() <= 1e-7
    bias = generated.store.read_one(again, "lstm_1.bias")
    bias += 1.0
    generated.store.write_one(again, "lstm_1.bias", bias)
    assert largest() > 1e-3


def test_long_lines_go_on_after_a_comma() -> None:
    heads = "heads: {" + ", ".join(f"h{at}: {{units: 1}}" for at in range(40)) + "}\n"
    text = rnnspec.codegen(rnnspec.loads(PLAIN + heads), "c")
    assert max(map(len, text.splitlines())) <= 100
    assert "y_h0,\n            y_h1" not in text
    assert re.search(r"\nint net_run\(.*,\n        float \*y_h\d", text)


def test_a_thousand_layers_are_source() -> None:
    dense = "- {type: dense, units: 1}\n" * 1100
    spec = PLAIN.replace("rnn: ", "rnn:\n- ") + dense
    text = rnnspec.codegen(rnnspec.loads(spec), "c")
    assert len(re.findall(r"net_dense_\d+_bias,", text)) == 1100


FAR = """
version: 1
name: net
input: {features: 1}
rnn: [{type: conv, filters: 1, kernel_size: 2, dilation: %d}, {type: gru, units: 1}]
"""


@pytest.mark.parametrize(("dilation", "most"), [(1, 2), (1, 20), (600, None)])
def test_files_are_compared_within_the_longest_sequence(
    dilation: int, most: int | None, tmp_path: Path
) -> None:
    program = pipeline.program(rnnspec.loads(FAR % dilation))
    output = Output(tmp_path / "net")
    options = {"max_steps": most} if most else {}
    built = build_model(program, get("c"), "inference", 1, output, options=options)
    assert built.equal
    with pytest.raises(UsageError, match=f"expected {dilation + 1} to {most or 2404} steps"):
        built.model(np.zeros((1, (most or 2404) + 1, 1)))


def test_windows_after_a_repeat_are_counted_from_its_steps() -> None:
    layers = (
        "[{type: lstm, units: 2}, {type: repeat, steps: 2}, {type: max_pool, size: 2, stride: 1}]"
    )
    text = f"version: 1\nname: net\ninput: {{features: 3}}\nrnn: {layers}\nhead: {{pooling: none}}"
    source = rnnspec.codegen(rnnspec.loads(text), "c")
    assert "#define NET_OUTPUT_STEPS(steps) (2 - 1)\n" in source


def test_a_self_test_needs_finite_outputs(tmp_path: Path) -> None:
    large = "initializers: {kernel: {constant: 1e30}}\n"
    spec = rnnspec.loads(PLAIN + "head: {hidden: [{units: 9}, {units: 9}], units: 1}\n" + large)
    output = Output(tmp_path / "net")
    message = "net: error: expected finite outputs for the self-test, received NaN or infinity"
    with pytest.raises(UsageError, match=message):
        build_model(pipeline.program(spec), get("c"), "inference", 1, output)
    assert not output.path.exists()


DECAY = """
version: 1
name: net
input: {features: 3}
cells:
  decay: {states: [h], sizes: {h: features}, equations: {h: 0.5 * h + 0.5 * x}}
rnn: {type: decay, units: 3}
head: {pooling: mean}
"""


def test_a_network_without_arrays(tmp_path: Path) -> None:
    # It calls none of the functions that most networks share, and needs what these would.
    program = pipeline.program(rnnspec.loads(DECAY))
    assert build_model(program, get("c"), "inference", 1, Output(tmp_path / "net")).equal
    output = Output(tmp_path / "blob")
    with pytest.raises(UsageError, match="expected text for a network without arrays"):
        build_model(program, get("c"), "inference", 1, output, options={"weights": "blob"})
    assert not output.path.exists()

"""What cannot be taken over: one clear error for each reason, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import Ran, _own_folder, _signals, entries, run
from importing.old import DENSE, LSTM, STEPS, changed, layer, message, written
from offered import import_later

from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.keras.files import unknown_class
from rnnspec.importing.keras.model import LAYERS
from rnnspec.importing.run import take

h5py = import_later("h5py")

__all__ = ["Ran", "_own_folder", "_signals", "entries", "run"]


@cases(
    ("layers", "wanted"),
    [
        ([layer("Lambda", function="x"), LSTM], ("lambda: cannot carry over a layer of the class "
         "'Lambda': rnnspec does not support Python code, which is not run [E701]")),
        ([layer("AttentionRNN"), LSTM], ("attentionrnn: cannot carry over a layer of the class "
         "'AttentionRNN': rnnspec wrote it; name the spec of the model with --spec [E701]")),
        ([{**LSTM, "registered_name": "mine>LSTM"}],
         "lstm: the class 'mine>LSTM' is not Keras's own, and foreign code is not run [E701]"),
        ([{**LSTM, "module": "os.path"}], "lstm: the class 'os.path.LSTM' is not Keras's own"),
        ([changed(LSTM, peephole=1)], "lstm.peephole: expected no such setting, received 1: its"),
        ([changed(LSTM, stateful=True)], "lstm.stateful: expected False, received True; the state"),
        ([changed(LSTM, go_backwards=True, return_sequences=True)],
         "lstm: reads steps in reverse order; expected keras.ops.flip of them, axis=1"),
        ([changed(LSTM, time_major=True)], "lstm.time_major: expected False, received True"),
        ([changed(LSTM, activation="gelu")], "lstm.activation: expected one of tanh, sigmoid"),
        ([changed(LSTM, units="2")], "lstm.units: expected an integer from 1 to 2,147,483,647"),
        ([changed(LSTM, units=-1)], "lstm.units: expected an integer from 1"),
        ([changed(LSTM, use_bias=0)], "lstm.use_bias: expected true or false, received 0 [E703]"),
        ([changed(LSTM, dropout=1.5)], "lstm.dropout: expected a rate from 0 to below 1, received"),
        ([changed(LSTM, dtype="int8")], "lstm.dtype: expected float32 or float64, received 'int8'"),
        ([LSTM, changed(LSTM, name="l2")], "l2: expected a sequence, received a vector [E704]"),
        ([layer("Masking"), changed(LSTM, return_sequences=True), layer("GlobalMaxPooling1D")],
         "globalmaxpooling1d: the maximum of Keras counts padding"),
        ([layer("Bidirectional", layer=LSTM, merge_mode=None)],
         "bidirectional: reads one direction; rnnspec supports both side by side, as Concatenate"),
        ([layer("TimeDistributed", layer=LSTM)],
         "timedistributed.layer: expected Dense, Activation, ReLU, LeakyReLU, ELU or Dropout, rec"),
    ],
)  # fmt: skip
def test_what_the_language_lacks(layers: list[dict[str, Any]], wanted: str) -> None:
    assert message(written(*layers)).startswith(f"model.h5: error: {wanted}")


def test_the_identity_of_keras_2_drops_the_mask() -> None:
    embedding = layer("Embedding", input_dim=9, output_dim=3, mask_zero=True)
    layers = [embedding, layer("Identity"), LSTM]
    sequence = changed(LSTM, return_sequences=True)
    assert "lstm: has no mask, since Keras drops it at identity, and" in message(
        written(embedding, changed(sequence, name="first"), *layers[1:], version="2.15.0",
                shape=(STEPS,))
    )  # fmt: skip
    taken = take(written(*layers, version="2.15.0", shape=(STEPS,)))
    assert not taken.program.network.layers[-1].masked  # type: ignore[union-attr]
    assert taken.imported.inferred == (
        "embedding: no mask, as no layer uses that of Keras, which Keras drops at identity",
    )
    taken = take(written(*layers, version="3.0.0", shape=(STEPS,)))
    assert taken.program.network.layers[-1].masked  # type: ignore[union-attr]


def test_every_reason_at_once() -> None:
    path = written(
        layer("Conv2D"), changed(LSTM, stateful=True, unknown=1), layer("GroupQueryAttention")
    )
    assert [line.rpartition(" ")[2] for line in message(path).splitlines()] == [
        "[E701]", "[E703]", "[E702]", "[E701]",
    ]  # fmt: skip


def test_every_reason_behind_a_layer_that_is_refused() -> None:
    dense = changed(DENSE, name="first")
    path = written(dense, layer("Attention"), LSTM, layer("Masking"), layer("GlobalMaxPooling1D"))
    assert [line.split("error: ")[1].split(":")[0] for line in message(path).splitlines()] == [
        "attention", "masking", "globalmaxpooling1d",
    ]  # fmt: skip


def test_every_reason_beside_two_inputs_and_outputs() -> None:
    second = layer("InputLayer", batch_input_shape=[None, 5, 3])
    path = graph(
        ("other", second, []),
        ("first", DENSE, ["other"]),
        ("join", layer("GroupQueryAttention"), ["in", "first"]),
        ("out", changed(LSTM, stateful=True), ["join"]),
        ("last", DENSE, ["out"]),
        inputs=("in", "other"),
        outputs=("out", "last"),
    )
    assert [line.removeprefix("model.h5: error: ")[:60] for line in message(path).splitlines()] == [
        "join: cannot carry over a layer of the class 'GroupQueryAtte",
        "out.stateful: expected False, received True; the state of a ",
    ]


def graph(
    *layers: tuple[str, dict[str, Any], list[str]],
    inputs: tuple[str, ...] = ("in",),
    outputs: tuple[str, ...] = ("out",),
) -> Path:
    """Write a functional model; each layer is its name, itself and the names of its inputs."""
    found = [
        {
            **each,
            "name": name,
            "config": {**each["config"], "name": name},
            "inbound_nodes": [[[source, 0, 0, {}] for source in inputs]] if inputs else [],
        }
        for name, each, inputs in layers
    ]
    start = {**layer("InputLayer", batch_input_shape=[None, 5, 3]), "name": "in"}
    config = {
        "layers": [
            {**start, "config": {**start["config"], "name": "in"}, "inbound_nodes": []},
            *found,
        ],
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    with h5py.File("model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
    return Path("model.h5")


SEQUENCE = changed(LSTM, return_sequences=True, units=3)


@cases(
    ("layers", "wanted"),
    [
        ([("a", SEQUENCE, ["in"]), ("b", SEQUENCE, ["in"]),
          ("out", layer("Concatenate", axis=0), ["a", "b"])],
         "out.axis: expected 1 (the steps) or -1 (the features), received 0"),
        ([("a", SEQUENCE, ["in"]), ("b", DENSE, ["in"]), ("out", layer("Add"), ["a", "b"])],
         "out: expected outputs of equal size, received those of [3, 1]"),
        ([("out", LSTM, ["in"]), ("b", DENSE, ["out"])], "b: not on the way"),
        ([("a", SEQUENCE, ["in", "b"]), ("b", SEQUENCE, ["in"]), ("out", LSTM, ["a"])],
         "a: expected 2 first states, received 1"),
        ([("b", DENSE, ["in", "in"]), ("out", LSTM, ["b"])],
         "b: reads the output of in 2 times; expected it once"),
        ([("out", SEQUENCE, ["else"])], "else: is an input of another layer, and is not in"),
        ([("a", SEQUENCE, ["in"]), ("out", LSTM, ["a"]), ("c", DENSE, ["c"])], "c: not on the way"),
        ([("a", layer("Add"), ["in", "out"]), ("out", SEQUENCE, ["a"])], "in: the layers form"),
    ],
)  # fmt: skip
def test_graphs_that_are_no_chain(layers: list[Any], wanted: str) -> None:
    assert message(graph(*layers)).startswith(f"model.h5: error: {wanted}")


def test_defaults_of_an_old_version_are_said() -> None:
    old = layer("LSTM", units=2, activation="tanh")
    for version, word in (("2.2.4", "legacy_hard_sigmoid"), ("2.4.0", "sigmoid")):
        found = take(written(old, version=version))
        (cell,) = (each.cell for each in found.program.network.layers)  # type: ignore[union-attr]
        assert cell.recurrent_activation == word  # type: ignore[union-attr]
        said = word.removeprefix("legacy_")
        assert found.imported.inferred[0] == (
            f"lstm: recurrent_activation '{said}', the default of Keras {version}"
        )


def test_the_orthogonal_initializer_has_two_names() -> None:
    for name in ("Orthogonal", "OrthogonalInitializer"):
        drawn = {"class_name": name, "config": {"gain": 1.0, "seed": None}}
        found = take(written(changed(LSTM, recurrent_initializer=drawn), version="3.5.0"))
        assert not found.imported.left_out
        assert not unknown_class(drawn, LAYERS)


def test_hard_sigmoid_is_that_of_its_version() -> None:
    gates = changed(LSTM, recurrent_activation="hard_sigmoid")
    for version, word in (("2.15.0", "legacy_hard_sigmoid"), ("3.0.0", "hard_sigmoid")):
        text = take(written(gates, version=version)).text
        assert f"recurrent_activation: {word}}}" in text


def test_the_version_of_an_architecture_is_its_own() -> None:
    gates = changed(LSTM, recurrent_activation="hard_sigmoid")
    path = written(gates, version="2.15.0")
    policy = {"class_name": "DTypePolicy", "config": {"name": "float32"}}
    first = changed(gates, batch_input_shape=[None, 5, 3])
    for each, stated, word in (
        (first, {"keras_version": "2.4.0"}, "legacy_hard_sigmoid"),
        (first, {"keras_version": "3.1.0"}, "hard_sigmoid"),
        # Keras 3 states no version in the text of to_json.
        (changed(first, dtype=policy), {}, "hard_sigmoid"),
        (first, {}, "legacy_hard_sigmoid"),
    ):
        config = {"class_name": "Sequential", "config": {"layers": [each]}, **stated}
        Path("model.json").write_text(json.dumps(config))
        text = take(path, config=Path("model.json")).text
        assert f"recurrent_activation: {word}}}" in text


def test_arrays_of_another_program() -> None:
    with h5py.File("other.h5", "w") as file:
        file["run/loss"] = np.ones(3)
        file["time"] = np.ones(3)
    assert message(Path("other.h5")) == (
        "other.h5: error: expected an HDF5 file of Keras, received another program's, with "
        "'run/loss' and 'time'"
    )
    # A spec says what is in a file of any program.
    lines = message(Path("other.h5"), spec=take(written(LSTM)).program).splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["[E705]", "[E706]", "[E706]"]
    assert "expected the arrays of lstm_1" in lines[0]
    assert "--ignore run/loss" in lines[1]


def test_keras_1() -> None:
    assert message(written(LSTM, version="1.2.2")) == (
        "model.h5: error: model: expected Keras 2 or 3, received Keras 1.2.2: "
        "load and save it with Keras 2 first [E702]"
    )


@cases(
    "name",
    [
        "model.weights.json",
        "pytorch_model.bin.index.json",
        "model.safetensors.index.json",
        "model-00002-of-00003.safetensors",
    ],
)
def test_shards(run: Any, name: str) -> None:
    Path(name).write_text("{}")
    wanted = "the arrays are in several files (shards); load the model and save it in one: "
    for command in (["import", name], ["convert", name, "out.keras"]):
        ran = run(*command)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"{name}: error: {wanted}")


def nested(
    *layers: dict[str, Any], name: str = "inner", kind: str = "Sequential"
) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "layers": [*layers]}}


def test_a_spec_is_no_trained_model(run: Any, entries: Any) -> None:
    Path("net.yaml").write_text("version: 1\n")
    ran = run("import", "net.yaml")
    assert (ran.code, ran.out, entries()) == (2, "", {"net.yaml"})
    assert ran.err.startswith("net.yaml: error: expected a Keras file (.h5, .hdf5 or .keras), ")


def test_models_inside_models_that_are_refused() -> None:
    deep = LSTM
    for _ in range(5):
        deep = nested(deep)
    assert message(written(deep)) == (
        "model.h5: error: inner.inner.inner.inner.inner: cannot carry over a layer of the class "
        "'Sequential': rnnspec does not support models inside models at this depth [E701]"
    )
    assert "'mine>Net' is not Keras's own" in message(
        written({**nested(LSTM), "registered_name": "mine>Net"})
    )


def test_the_arrays_of_cudnn() -> None:
    path = written(changed(layer("CuDNNLSTM", units=2), name="cu_dnnlstm_1"), DENSE)
    rng = np.random.default_rng(1)
    plain = {"kernel": rng.random((3, 8)), "recurrent_kernel": rng.random((2, 8))}
    bias = rng.random(16)
    # Keras's own conversion to the layout of cuDNN, in tf_keras's hdf5_format.
    kernel = np.hstack([k.T.reshape(k.shape) for k in np.hsplit(plain["kernel"], 4)])
    recurrent = np.hstack([k.T for k in np.hsplit(plain["recurrent_kernel"], 4)])
    with h5py.File(path, "r+") as file:
        group = file["model_weights/cu_dnnlstm_1"]
        for name, array in {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}.items():
            group[name] = array
        group.attrs["weight_names"] = [b"kernel", b"recurrent_kernel", b"bias"]
        dense = file["model_weights/dense/dense"]
        del dense["kernel:0"]
        dense["kernel:0"] = np.ones((2, 1), "f4")
    found = take(path)
    for name, array in plain.items():
        np.testing.assert_array_equal(found.arrays[f"lstm_1.{name}"], array)
    np.testing.assert_allclose(found.arrays["lstm_1.bias"], bias[:8] + bias[8:])
    assert "layout of cuDNN" in found.imported.inferred[0]


def test_the_command_writes_nothing(run: Any, entries: Any) -> None:
    written(layer("Conv2D"), LSTM)
    ran = run("import", "model.h5")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("model.h5: error: conv2d: cannot carry over a layer of the class")
    assert entries() == {"model.h5"}


def with_other(path: Path) -> Path:
    """Add the array of a layer that the architecture does not have."""
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        group.attrs["layer_names"] = [b"lstm", b"dense", b"aux"]
        group["aux/scale:0"] = np.ones(())
        group["aux"].attrs["weight_names"] = [b"scale:0"]
    return path


def test_arrays_of_keras_that_nothing_uses_are_left_out_on_request() -> None:
    path = with_other(written(LSTM, DENSE))
    assert message(path) == (
        "model.h5: error: scale:0: an array of no layer is left over; if the network does not need "
        "it, leave it out with --ignore scale:0 [E706]"
    )
    taken = take(path, ignore=("scale*",))
    assert taken.imported.left_out == ("scale:0 (left out by --ignore)",)
    assert taken.arrays.keys() == take(written(LSTM, DENSE)).arrays.keys()
    for pattern, wanted in {
        "dense/bias*": "dense: needs dense/bias:0, which --ignore leaves out [E705]",
        "zzz": "--ignore zzz matches no array; the file has lstm/kernel:0, lstm/recurr",
    }.items():
        with pytest.raises((ModelError, UsageError)) as raised:
            take(with_other(written(LSTM, DENSE)), ignore=("scale*", pattern))
        assert str(raised.value).startswith(f"model.h5: error: {wanted}")


@cases(
    ("layers", "wanted"),
    [
        ([DENSE], ("2 layers (lstm_1 and dense_1), received those of 3: lstm, dense and aux; if "
         "the network does not need it, leave it out with --ignore 'LAYER/*' [E706]")),
        ([DENSE, changed(DENSE, name="d2"), changed(DENSE, name="d3")],
         "4 layers (lstm_1, dense_1, d2 and d3), received those of 3: lstm, dense and aux [E705]"),
    ],
)  # fmt: skip
def test_arrays_alone_of_another_number_of_layers(layers: list[Any], wanted: str) -> None:
    spec = take(written(LSTM, *layers)).program
    path = with_other(written(LSTM, DENSE))
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(ModelError) as raised:
        take(path, spec=spec)
    assert str(raised.value) == f"model.h5: error: model: expected the arrays of {wanted}"


def test_the_command_leaves_arrays_out(run: Any) -> None:
    with_other(written(LSTM, DENSE))
    ran = run("import", "model.h5", "--ignore", "scale:0", "-o", "net.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert "not carried over: scale:0 (left out by --ignore)\n" in ran.out
    ran = run("convert", "net.safetensors", "net.onnx", "--ignore", "scale:0")
    assert ran.err == (
        "net.safetensors: error: takes no --ignore: expected a Keras file, a PyTorch state dict or "
        "arrays by their names\n"
    )
    ran = run("convert", "model.h5", "out.safetensors", "--ignore", "scale:0")
    assert (ran.code, ran.err) == (0, "")
    assert "not carried over: scale:0 (left out by --ignore)\n" in ran.out

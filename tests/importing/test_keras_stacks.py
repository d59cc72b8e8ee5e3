"""Stacks around recurrent layers, as people build them in Keras, and what is not supported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import _own_folder, _signals, run
from importing.old import DENSE, LSTM, changed, layer, message, written
from importing.test_keras_inputs import built as run_statements
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.errors import ModelError
from rnnspec.importing.assemble import check_same
from rnnspec.importing.run import take
from rnnspec.ir import nodes
from rnnspec_random.strategies import sample, spec_text, specs

keras = import_later("keras")
of, ops = import_later("keras.layers"), import_later("keras.ops")

__all__ = ["_own_folder", "_signals", "run"]


def graph(make: Callable[[Any], Any], *shape: int | None) -> Any:
    start = keras.Input(shape)
    return keras.Model(start, make(start))


def drawn(model: Any) -> Any:
    """Give a model weights that show a fault; none is negative where a variance is."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            np.abs(rng.normal(0.3, 0.4, np.shape(weight))) + 0.1
            if np.ndim(weight) == 1
            else rng.normal(0.0, 0.4, np.shape(weight))
            for weight in model.get_weights()
        ]
    )
    return model


def sentences(vocabulary: int = 20, dim: int = 6, steps: int | None = 12, **words: Any) -> Any:
    return (keras.Input((steps,)), of.Embedding(vocabulary, dim, **words))


def read(text: str) -> Iterator[tuple[str, tuple[str, str, tuple[str, ...]]]]:
    """Yield the name of each model, its layers or statements, its spec, and what is said."""
    for block in text.rstrip("\n").split("\n\n"):
        code, _, told = block.partition("\n=>\n")
        name, _, body = code.removeprefix("# ").partition("\n")
        spec, *remarks = told.split("\n=> ")
        yield name, (body, f"{spec}\n", tuple(remarks))


STACKS = dict(read(Path(__file__).with_name("keras_stacks.txt").read_text("utf-8")))


def built(name: str) -> Any:
    """Return a model, whose layers have numbers from 1 on."""
    keras.utils.clear_session(free_memory=False)
    body, _, _ = STACKS[name]
    whole = body if "    return " in body else f"    return keras.Sequential([\n{body}\n])"
    return run_statements(name, whole, globals())


@pytest.mark.filterwarnings("ignore:.*destroy the mask")
@pytest.mark.parametrize("name", STACKS)
def test_a_stack(name: str) -> None:
    model = drawn(built(name))
    found = rnnspec.from_keras(model, "net")
    text, _, expected = found.spec.document.text.partition("expect: ")
    _, wanted, remarks = STACKS[name]
    assert text == f"version: 1\nname: net\n{wanted}"
    # Arrays that change nothing are counted, too.
    assert f"parameters: {model.count_params()}" in expected or name == "norms"
    assert found.compared.startswith("compared with the model in Keras 3.")
    assert not remarks or found.remarks[:-1] == remarks


def test_settings_without_effect_are_left_out() -> None:
    layers = [of.Conv1D(4, 1, dilation_rate=2), of.SpatialDropout1D(0.0), of.LSTM(5)]
    model = keras.Sequential([keras.Input((6, 3)), *layers])
    text = rnnspec.from_keras(drawn(model)).spec.document.text
    assert "\n- {type: conv, filters: 4, kernel_size: 1}\n- {type: lstm, units: 5}\n" in text


def test_each_output_has_the_rounding_of_its_own() -> None:
    model = built("outputs_by_layer")
    price = model.get_layer("price")
    price.set_weights([np.zeros_like(array) for array in price.get_weights()])
    assert "largest difference" in rnnspec.from_keras(model).remarks[-1]


MASKING = layer("Masking", mask_value=-1.0)
SEQUENCE = changed(LSTM, return_sequences=True)
CONV = layer("Conv1D", filters=2, kernel_size=[2], strides=[1])


@cases(
    ("layers", "wanted"),
    [
        ([changed(CONV, groups=3)], "conv1d.groups: expected 1, received 3; rnnspec does not"),
        ([changed(CONV, data_format="channels_first")],
         "conv1d.data_format: expected 'channels_last', received 'channels_first'"),
        ([changed(CONV, padding="full")],
         "conv1d.padding: expected 'valid' or 'same' or 'causal', received 'full'"),
        ([changed(CONV, kernel_size=[2, 3])],
         "conv1d.kernel_size: expected an integer from 1 to 2,147,483,647, received [2, 3]"),
        ([changed(CONV, kernel_size=9)], "conv1d: needs at least 9 steps, its input has 5"),
        ([layer("MaxPooling1D", pool_size=9)], "maxpooling1d: needs at least 9 steps, its"),
        ([layer("MaxPooling1D", padding="causal")],
         "maxpooling1d.padding: expected 'valid' or 'same', received 'causal'"),
        ([layer("ZeroPadding1D", padding=[1, 9]), CONV],
         "zeropadding1d.padding: adds 1 and 9 steps; expected at most"),
        ([layer("ZeroPadding1D", padding=[0, 1]), changed(CONV, padding="same")],
         "zeropadding1d.padding: adds 0 and 1 steps; expected 'valid' behind it"),
        ([layer("ZeroPadding1D", padding=[1, 1])],
         "zeropadding1d: expected a convolution or a pooling of windows behind it, received lstm"),
        ([layer("ZeroPadding1D", padding=[1, 1]), layer("AveragePooling1D", pool_size=3)],
         "zeropadding1d: adds zeros that averagepooling1d counts; rnnspec counts no padding"),
        ([layer("ZeroPadding1D", padding=[1, 1]), layer("MaxPooling1D", pool_size=3)],
         "zeropadding1d: adds zeros that maxpooling1d counts"),
        ([layer("BatchNormalization", axis=1)],
         "batchnormalization.axis: expected -1 (the features), received 1"),
        ([layer("BatchNormalization", momentum=1.0)],
         "batchnormalization.momentum: expected 0 to below 1, received 1.0"),
        ([layer("BatchNormalization", epsilon=0.0)],
         "batchnormalization.epsilon: expected 1e-12 to 1, received 0.0"),
        ([layer("BatchNormalization", renorm=True)],
         "batchnormalization.renorm: expected False, received True"),
        ([layer("LayerNormalization", axis=[1, 2])],
         "layernormalization.axis: expected -1 (the features), received [1, 2]"),
        ([layer("ReLU", threshold=1.0)], "relu.threshold: expected 0.0 or 0 or None, received 1.0"),
        ([layer("ReLU", max_value=6.0, negative_slope=0.1)],
         "relu.max_value: expected None with a negative_slope, received a number"),
        ([layer("ReLU", max_value=-6.0)], "relu.max_value: expected a number above 0, received"),
        ([layer("ELU", alpha=2.0)], "elu.alpha: expected 1.0 or 1, received 2.0"),
        ([layer("PReLU")], "prelu: cannot carry over a layer of the class 'PReLU'"),
        ([MASKING, CONV], "masking: sets padding to zero, for layers that have no mask; expected"),
        ([MASKING, SEQUENCE, CONV], "conv1d: reads padding, since Keras has no mask here, and"),
        ([MASKING, SEQUENCE, layer("MaxPooling1D")],
         "maxpooling1d: counts padding, since Keras has no mask here; rnnspec does not"),
        ([MASKING, SEQUENCE, layer("Flatten"), DENSE],
         "flatten: puts padding among the features; rnnspec does not support that"),
        ([SEQUENCE, layer("Reshape", target_shape=[2, 5])],
         "reshape.target_shape: expected the same shape or a vector, received (2, 5) for (5, 2)"),
    ],
)  # fmt: skip
def test_what_the_language_lacks(layers: list[dict[str, Any]], wanted: str) -> None:
    if not any(each["class_name"] in ("Flatten", "LSTM", "Reshape") for each in layers[1:]):
        layers = [*layers, LSTM]
    (first, *_) = message(written(*layers)).splitlines()
    assert first.startswith(f"model.h5: error: {wanted}")


def both_ways(shared: Any, x: Any) -> Any:
    return of.Concatenate()([shared(x), shared(of.Dense(3)(x))])


BRANCHES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a layer before one pooling": (
        lambda x: of.Concatenate()(
            [of.GlobalMaxPooling1D()(x), of.GlobalMaxPooling1D()(of.Dense(2, name="first")(x))]
        ),
        "expected a recurrent layer first, received none",
    ),
    "sequences side by side": (
        lambda x: of.Concatenate(axis=0, name="long")([x, of.LSTM(3, return_sequences=True)(x)]),
        r"long.axis: expected 1 \(the steps\) or -1 \(the features\), received 0",
    ),
    "one batch norm twice": (
        lambda x: of.LSTM(3)(both_ways(of.BatchNormalization(name="shared"), x)),
        "shared: called 2 times, with the same weights; rnnspec does not support that",
    ),
}


@cases(("make", "wanted"), BRANCHES)
def test_branches_that_the_language_lacks(make: Callable[[Any], Any], wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted):
        rnnspec.from_keras(graph(make, 6, 3))


def test_a_join_of_one_layer_twice() -> None:
    def make(x: Any) -> Any:
        x = of.LSTM(3, return_sequences=True)(x)
        return of.GRU(2)(of.Concatenate()([x, x]))

    assert "of: [lstm_1, lstm_1]" in str(rnnspec.from_keras(graph(make, 6, 3)).spec)


def test_an_embedding_that_is_not_the_kernel_of_the_output() -> None:
    def make(words: Any) -> Any:
        embedding = of.ReversibleEmbedding(9, 4, tie_weights=False, name="table")
        return embedding(of.LSTM(4, return_sequences=True)(embedding(words)), reverse=True)

    with pytest.raises(ModelError, match=r"table:1.tie_weights: expected True, received False"):
        rnnspec.from_keras(graph(make, None))


def without_names(network: nodes.Network) -> nodes.Network:
    """Return a network with layers by number, without those that change nothing."""
    names, layers = {nodes.INPUT: nodes.INPUT}, list[nodes.Layer]()
    for node, (source, *_) in zip(network.layers, nodes.sources(network).values(), strict=True):
        if isinstance(node, nodes.Dropout) and not node.rate:
            names[node.name] = names[source]
            continue
        if isinstance(node, nodes.Activate) and node.activation == "linear":
            names[node.name] = names[source]
            continue
        renamed: Any = replace(node, name=f"layer_{len(layers)}", source=names[source])
        match renamed:
            case nodes.Residual(start=start):
                renamed = replace(renamed, start=names[start])
            case nodes.Join(of=taken):
                renamed = replace(renamed, of=tuple(names[name] for name in taken))
            case nodes.Dense(tied=str() as embedding):
                renamed = replace(renamed, tied=names[embedding])
            case nodes.Embedding():
                renamed = replace(renamed, pretrained=None)
            case _:
                pass
        names[node.name] = renamed.name
        layers.append(renamed)
    outputs = tuple((name, names[node]) for name, node in network.outputs)
    return replace(network, name="net", description="", layers=tuple(layers), outputs=outputs)


def test_random_networks_come_back_from_each_kind_of_file(tmp_path: Path) -> None:
    same, refused = 0, set[str]()
    for words in sample(specs(cells=False, graph=False), 14):
        keras.utils.clear_session(free_memory=False)
        if "forget_bias" in words.get("initializers", {}):
            # Source sets another one after the model is made; no configuration of Keras tells it.
            words["initializers"]["forget_bias"] = 1.0
        wanted = pipeline.program(rnnspec.loads(spec_text(words)))
        model = rnnspec.build(wanted.spec, "keras", seed=1)
        for suffix in (".keras", ".h5"):
            path = tmp_path / f"net{suffix}"
            model.save(path)
            try:
                taken = take(path)
            except ModelError as error:
                refused |= {problem.code for problem in error.problems}
                continue
            found = taken.program.network
            check_same(spec_text(words), without_names(wanted.network), without_names(found))
            for array, other in zip(
                rnnspec.read_weights(model).values(), taken.arrays.values(), strict=True
            ):
                np.testing.assert_array_equal(array, other)
            same += 1
    assert same >= 4
    # What no layer of Keras computes is an operation in its file.
    assert refused <= {"E701", "E703", "E704"}


def test_what_is_printed(run: Any) -> None:
    written(
        changed(LSTM, dropout=0.5, kernel_regularizer={"class_name": "L1L2", "config": {}}),
        layer("Dropout", rate=0.25),
        changed(DENSE, name="answer"),
    )
    ran = run("import", "model.h5", "-o", "judge.yaml")
    assert (ran.code, ran.err) == (0, "")
    (compared,) = (line for line in ran.out.splitlines() if "with the original" in line)
    assert compared.startswith("not compared with the original: Keras 3.")
    assert ran.out.replace(compared, "COMPARED") == (
        "model.h5: HDF5 file of Keras 2.2.4\n"
        "  lstm (LSTM)       -> lstm_1 (LSTM)\n"
        "  dropout (Dropout) -> dropout_1 (Dropout)\n"
        "  answer (Dense)    -> answer (Dense)\n"
        "not carried over: kernel_regularizer of lstm (acts in training only)\n"
        "parameters: 51\n"
        "COMPARED\n"
        "wrote judge.yaml\n"
        "wrote judge.safetensors\n"
        "next: rnnspec parity judge.yaml\n"
        "      rnnspec convert judge.safetensors NAME -b torch\n"
    )
    assert Path("judge.yaml").read_text() == (
        "version: 1\n"
        "name: judge\n"
        "input: {length: 5, features: 3}\n"
        "rnn: {type: lstm, units: 2, dropout: 0.5}\n"
        "head: {dropout: 0.25, name: answer, units: 1}\n"
        "expect: {parameters: 51}\n"
    )
    again = run("import", "model.h5", "-o", "judge.yaml")
    assert (again.code, again.out) == (2, "")
    assert "already exists; use --force or force=True to replace it" in again.err
    assert run("import", "model.h5", "--spec", "judge.yaml", "--weights", "w.safetensors").code == 0

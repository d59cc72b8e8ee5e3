"""Live modules with layers around the recurrent ones: the network computes what the module does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from importing.test_torch_live import NOT_READ, from_file

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.errors import ModelError, SpecError
from rnnspec.importing.assemble import write_spec
from rnnspec.ir.nodes import (
    Activate,
    BatchNorm,
    Dropout,
    EquationCell,
    Network,
    Pooling,
    Recurrent,
)
from rnnspec.ir.params import counts, params
from rnnspec.models import foreign
from rnnspec.spec.write import dump
from rnnspec.weights.initial import draw_scaled
from rnnspec_random.draw import Texts

torch = pytest.importorskip("torch")
torch_modules = pytest.importorskip("importing.torch_modules")
traced = pytest.importorskip("importing.traced")


ACCEPTED = torch_modules.read("accepted.txt")


def written(name: str) -> str:
    text: str = rnnspec.from_torch(ACCEPTED[name].make()).spec.document.text
    return text


def test_settings_of_batch_norms_are_those_of_the_language() -> None:
    found = rnnspec.from_torch(ACCEPTED["convolutions"].make())
    norms = [n for n in pipeline.program(found.spec).network.layers if isinstance(n, BatchNorm)]
    assert [(norm.momentum, norm.epsilon) for norm in norms] == [(0.9, 1e-5), (0.99, 1e-5)]
    kept = "the unbiased variance that nn.BatchNorm1d stores of features.1 and features.5"
    assert any(line.startswith(kept) for line in found.left_out)


def test_a_norm_has_the_arrays_of_the_module() -> None:
    found = rnnspec.from_torch(ACCEPTED["norms"].make())
    assert found.inferred == ()
    assert "{epsilon: 1.0e-05, offset: false}" in str(found.spec)
    norms = {name for name in found.arrays if name.endswith((".gamma", ".beta"))}
    assert norms == {"layer_normalization_2.gamma"}


def test_paddings_are_those_of_the_language() -> None:
    text = written("causal")
    assert "kernel_size: 3\n  padding: causal\n  activation: {clipped_relu: 6.0}\n" in text
    assert "kernel_size: 2, stride: 2, dilation: 2, padding: causal}" in text
    text = written("rounded up")
    assert "kernel_size: 4, padding: same}" in text
    assert "{type: max_pool, size: 2, padding: same}" in text


def test_settings_without_effect_are_left_out() -> None:
    conv = "{type: conv, name: conv, filters: 4, kernel_size: 1, stride: 2}"
    assert f"\n- {conv}\n- {{type: gru, name: rnn, units: 4}}\n" in written("without effect")


def test_a_tied_array_is_counted_once() -> None:
    found = rnnspec.from_torch(traced.LanguageModel())
    assert "name: decoder, units: 9, tied: true}" in found.spec.document.text
    assert "decoder.kernel" not in found.arrays
    assert not [line for line in found.left_out if "decoder" in line]


def test_heads_have_the_names_of_the_results() -> None:
    assert "heads:\n  slots: {pooling: none, units: 6}\n  intent:\n" in written("tagger")
    assert "heads:\n  output_0: {name: actor, " in written("policy")


def test_the_length_of_a_flattened_sequence_is_told() -> None:
    found = rnnspec.from_torch(ACCEPTED["DanQ"].make())
    assert "input: {length: 14, features: 4}\n" in found.spec.document.text
    smallest = "input.length 14, the smallest that gives as many steps"
    assert smallest in found.inferred
    found = rnnspec.from_torch(ACCEPTED["DanQ"].make(), torch.randn(2, 4, 16))
    assert "input: {length: 16, features: 4}\n" in found.spec.document.text
    assert smallest not in found.inferred


def test_every_result_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def tampered(source: str, imported: Any) -> Any:
        taken = write_spec(source, imported)
        arrays = dict(taken.arrays)
        arrays["critic.kernel"] = 1.0001 * arrays["critic.kernel"]
        return replace(taken, arrays=arrays)

    torch.manual_seed(2)
    monkeypatch.setattr(foreign, "write_spec", tampered)
    with pytest.raises(ModelError, match=r"received a difference of .* in 'output_1' \[E709\]"):
        rnnspec.from_torch(ACCEPTED["policy"].make())


def stock_text(text: str) -> str:
    """Return a spec without what PyTorch has no layers for, which is written as functions."""
    words = yaml.safe_load(text)
    for key, masks in (("input", "mask_value"), ("embedding", "mask_zero")):
        words.get(key, {}).pop(masks, None)
    layers = words["rnn"] if isinstance(words["rnn"], list) else [words["rnn"]]
    for layer in layers:
        kind, stride = layer["type"], layer.get("stride")
        if kind in ("lstm", "gru"):
            for key in ("activation", "recurrent_activation", "reset_after"):
                layer.pop(key, None)
        elif kind == "simple" and layer.get("activation") != "relu":
            layer.pop("activation", None)
        elif kind == "instance_norm":
            layer["type"] = "layer_norm"
        # With a stride, what 'same' adds depends on the length.
        if layer.get("padding") == "same":
            moves = (stride or (1 if kind == "conv" else layer["size"])) > 1
            if moves or (kind == "average_pool" and layer["size"] % 2 == 0):
                del layer["padding"]
        elif kind == "average_pool":
            layer.pop("padding", None)
    return dump(words).replace("legacy_hard_sigmoid", "hard_sigmoid")


def shape_of(network: Network) -> list[Any]:
    """Return the layers of a network without names and what the source of PyTorch leaves open."""
    left_out = Dropout | Activate | Pooling
    return [
        (type(layer), [param.shape for param in params(layer)])
        for layer in network.layers
        if not isinstance(layer, left_out)
    ]


def is_chain(network: Network) -> bool:
    """True if each layer takes the output of the one before it alone, from its first step on."""
    return network.takes_one_array and not any(
        layer.source is not None
        or (isinstance(layer, Recurrent) and (layer.backward or layer.learned))
        for layer in network.layers
    )


def test_source_of_random_specs_gives_the_same_network() -> None:
    texts = list(dict.fromkeys(map(stock_text, Texts(32, 4).all())))
    read, stock, refused = 0, 0, set[str]()
    for text in texts:
        try:
            program = pipeline.reads(text)
        except SpecError:  # a length that a window without padding leaves nothing of
            continue
        cells = (getattr(layer, "cell", None) for layer in program.network.layers)
        stock += not any(isinstance(cell, EquationCell) for cell in cells)
        generated = pipeline.generate(program, get("torch"), "inference")
        model = from_file(generated).double()
        arrays = draw_scaled(program.network, 1)
        generated.store.write(model, arrays)
        try:
            found = rnnspec.from_torch(model, name=program.network.name)
        except ModelError as error:
            if is_chain(program.network) and NOT_READ not in str(error):
                raise
            # Of graphs, it reads what people write.
            refused |= {problem.code for problem in error.problems}
            continue
        network = pipeline.program(found.spec).network
        # Of a graph, branches may stand in another order, and states be named. One step is read
        # where a sequence is needed, which may be behind layers of each step.
        if is_chain(program.network) and "type: repeat, steps: 1" not in text:
            assert shape_of(network) == shape_of(program.network), text
        assert counts(network).total == counts(program.network).total
        assert found.compared.endswith("random inputs (float64)"), text
        read += 1
    assert read > stock * 0.6
    assert refused <= {"E701", "E703", "E704", "E707"}

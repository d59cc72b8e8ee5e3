"""State dicts with convolutions, norms, tied weights and attention: what arrays tell, what not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.comparison import reference
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.run import take
from rnnspec.weights.initial import draw_scaled

torch = pytest.importorskip("torch")
nn: Any = torch.nn

START = "version: 1\nname: net\n"
TOKENS = START + "embedding: {vocabulary: 9, dim: 4}\n"


def modules(**layers: Any) -> Any:
    """Return modules whose arrays are those of trained ones."""
    torch.manual_seed(3)
    made = nn.ModuleDict(layers).double()
    for name, array in [*made.named_parameters(), *made.named_buffers()]:
        if array.is_floating_point():
            array.data.uniform_(0.5, 1.5) if name.endswith("var") else array.data.normal_()
    return made


def run(taken: Any, batch: Any) -> Any:
    return reference.run(taken.program.network, dict(taken.arrays), batch).output


CONV: dict[str, Callable[[], Any]] = {
    "emb": lambda: nn.Embedding(9, 4),
    "conv": lambda: nn.Conv1d(4, 6, 3, padding=1, bias=False),
    "bn": lambda: nn.BatchNorm1d(6),
    "lstm": lambda: nn.LSTM(6, 5, batch_first=True),
    "fc": lambda: nn.Linear(5, 2),
}
CONV_SPEC = f"""{TOKENS}rnn:
- {{type: conv, filters: 6, kernel_size: 3, padding: same, bias: false}}
- {{type: batch_norm, epsilon: 1.0e-5}}
- {{type: activation, activation: relu}}
- {{type: lstm, units: 5}}
head: {{units: 2}}
"""


def test_a_convolution_needs_its_spec(tmp_path: Path) -> None:
    net = modules(**{name: make() for name, make in CONV.items()})
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(ModelError) as caught:
        take(tmp_path / "net.pt")
    (problem,) = caught.value.problems
    assert (problem.where, problem.code) == ("conv", "E705")
    assert "tells neither stride, padding and activation nor the pools behind it" in problem.message
    assert "write the spec, and name it with --spec" in problem.message
    assert "--ignore 'conv.*'" in problem.message
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(CONV_SPEC))
    batch = np.random.default_rng(0).integers(0, 9, (3, 7))
    with torch.no_grad():
        x = net["conv"](net["emb"](torch.from_numpy(batch)).transpose(1, 2))
        x = torch.relu(net["bn"].eval()(x)).transpose(1, 2)
        expected = net["fc"](net["lstm"](x)[1][0][-1]).numpy()
    np.testing.assert_allclose(run(taken, batch), expected, rtol=0, atol=1e-12)
    assert taken.imported.left_out == ("bn.num_batches_tracked (a buffer of integers)",)


@cases(
    ("old", "new", "message"),
    [
        ("kernel_size: 3", "kernel_size: 5", r"conv: expected conv_1 with weight \(6, 4, 5\)"),
        ("- {type: batch_norm, epsilon: 1.0e-5}\n", "", r"bn: fits no layer .* --ignore 'bn\.\*'"),
        (", bias: false}", "}", r"conv: expected conv_1 with weight \(6, 4, 3\), bias \(6,\), rec"),
    ],
)
def test_another_spec_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    net = modules(**{name: make() for name, make in CONV.items()})
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert old in CONV_SPEC
    with pytest.raises(ModelError, match=message):
        take(tmp_path / "net.pt", spec=pipeline.reads(CONV_SPEC.replace(old, new)))


def test_dense_layers_and_norms_before_a_recurrent_layer_are_guessed_aloud(tmp_path: Path) -> None:
    net = modules(
        inp=nn.Linear(3, 4),
        bn=nn.BatchNorm1d(4),
        lstm=nn.LSTM(4, 5, batch_first=True),
        ln=nn.LayerNorm(5),
        fc=nn.Linear(5, 6),
        out=nn.Linear(6, 2),
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    taken = take(tmp_path / "net.pt")
    for guess in (
        ("rnn", "inp: no activation before bn"),
        ("rnn", "bn: relu behind it, none before it"),
        ("rnn", "momentum 0.9, PyTorch's 0.1 of the new value"),
        ("rnn", "epsilon 1e-05, PyTorch's default"),
        ("head", "fc: relu"),
        ("head", "out: no activation at the end"),
    ):
        assert guess in taken.imported.guesses
        assert f"# guessed: {guess[1]}\n" in taken.text
    batch = np.random.default_rng(0).standard_normal((3, 7, 3))
    with torch.no_grad():
        x = net["bn"].eval()(net["inp"](torch.from_numpy(batch)).transpose(1, 2))
        x = net["lstm"](torch.relu(x).transpose(1, 2))[0]
        x = torch.relu(net["fc"](net["ln"](x)[:, -1]))
        expected = net["out"](x).numpy()
    np.testing.assert_allclose(run(taken, batch), expected, rtol=0, atol=1e-12)


def tied(first: str, last: str) -> Any:
    net = modules(
        **{first: nn.Embedding(9, 4), "rnn": nn.GRU(4, 4, batch_first=True), last: nn.Linear(4, 9)}
    )
    net[last].weight = net[first].weight
    return net.state_dict()


def test_one_array_of_two_layers_ties_them(tmp_path: Path) -> None:
    torch.save(tied("emb", "out"), tmp_path / "net.pt")
    taken = take(tmp_path / "net.pt")
    assert "head: {units: 9, tied: true}\n" in taken.text
    assert taken.imported.inferred == ("out: tied to emb, whose array it has",)
    assert list(taken.arrays)[-1] == "dense_1.bias"


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_two_equal_arrays_are_asked_about(tmp_path: Path, name: str) -> None:
    from safetensors.torch import save_file

    save = torch.save if name.endswith("pt") else save_file
    save({key: array.clone() for key, array in tied("emb", "out").items()}, tmp_path / name)
    with pytest.raises(ModelError, match=r"out: its weight equals that of emb, .* with --spec"):
        take(tmp_path / name)
    for words, number in ((", tied: true", 9), ("", 45)):
        text = f"{TOKENS}rnn: {{type: gru, units: 4}}\nhead: {{units: 9{words}}}\n"
        taken = take(tmp_path / name, spec=pipeline.reads(text))
        sizes = [array.size for key, array in taken.arrays.items() if key.startswith("dense")]
        assert sum(sizes) == number
    save({key: array.clone() for key, array in tied("encoder", "decoder").items()}, tmp_path / name)
    taken = take(tmp_path / name)
    assert "head: {units: 9, tied: true}\n" in taken.text


def test_a_tied_layer_of_the_spec(tmp_path: Path) -> None:
    text = f"{TOKENS}rnn: {{type: gru, units: 4}}\nhead: {{units: 9, tied: true}}\n"
    state = tied("emb", "out")
    other = {**state, "out.weight": state["out.weight"] + 1}
    torch.save(other, tmp_path / "net.pt")
    with pytest.raises(
        ModelError, match=r"out\.weight: expected the numbers of emb\.weight, .* \[E707\]"
    ):
        take(tmp_path / "net.pt", spec=pipeline.reads(text))
    del state["out.weight"]
    torch.save(state, tmp_path / "net.pt")
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    assert taken.arrays["dense_1.bias"].shape == (9,)
    with pytest.raises(ModelError, match=r"out: expected the arrays of .*, received bias \(9,\)"):
        take(tmp_path / "net.pt")


def test_attention_and_heads_of_a_spec(tmp_path: Path) -> None:
    net = modules(
        rnn=nn.GRU(3, 4, batch_first=True),
        hidden=nn.Linear(4, 5),
        score=nn.Linear(5, 1),
        one=nn.Linear(4, 2),
        two=nn.Linear(4, 3),
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(ModelError, match="write the spec, and name it with --spec"):
        take(tmp_path / "net.pt")
    text = f"""{START}input: {{features: 3}}
rnn: {{type: gru, units: 4}}
heads:
  first: {{pooling: {{attention: {{units: 5}}}}, units: 2}}
  second: {{pooling: none, units: 3}}
"""
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    assert taken.imported.left_out == ("score.bias (a softmax is the same without it)",)
    batch = np.random.default_rng(0).standard_normal((3, 7, 3))
    with torch.no_grad():
        h, _ = net["rnn"](torch.from_numpy(batch))
        weights = torch.softmax(net["score"](torch.tanh(net["hidden"](h))), 1)
        expected = [net["one"]((weights * h).sum(1)).numpy(), net["two"](h).numpy()]
    network = taken.program.network
    received = reference.split_outputs(
        network, run(taken, batch), reference.result_shapes(network, batch)
    )
    for layer, result in zip(network.results.values(), expected, strict=True):
        np.testing.assert_allclose(received[layer.name], result, rtol=0, atol=1e-12)


JOIN: dict[str, Callable[[], Any]] = {
    "rnn": lambda: nn.LSTM(5, 4, 2, bidirectional=True),
    "out": lambda: nn.Linear(13, 5),
    "norm": lambda: nn.LayerNorm(5),
    "score": lambda: nn.Linear(5, 1),
    "last": lambda: nn.Linear(5, 1, bias=False),
}
JOIN_SPEC = f"""{START}input: {{features: 5}}
rnn:
- {{type: lstm, units: 4, layers: 2, bidirectional: true}}
- {{type: concat, of: [input, bidirectional_2]}}
- {{type: dense, units: 5}}
- {{type: layer_norm}}
head: {{pooling: {{attention: {{}}}}, units: 1, bias: false}}
"""


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_a_spec_decides_the_order_of_the_modules(tmp_path: Path, name: str) -> None:
    from safetensors.torch import save_file

    net = modules(**{key: make() for key, make in JOIN.items()})
    save = torch.save if name.endswith("pt") else save_file
    spec, expected = pipeline.reads(JOIN_SPEC), dict[str, Any]()
    for first in permutations(net, 2):
        order = [*first, *(key for key in reversed([*net]) if key not in first)]
        save(nn.ModuleDict({key: net[key] for key in order}).state_dict(), tmp_path / name)
        taken = take(tmp_path / name, spec=spec)
        layers = [layer.layer for layer in taken.imported.layers]
        assert layers == ["rnn[0]", "rnn[1]", "out", "norm", "score", "last"]
        assert not taken.imported.inferred
        expected = expected or {key: array.copy() for key, array in taken.arrays.items()}
        for key, array in taken.arrays.items():
            np.testing.assert_array_equal(array, expected[key])
    other = pipeline.reads(JOIN_SPEC.replace("dense, units: 5", "dense, units: 5, bias: false"))
    with pytest.raises(ModelError) as caught:
        take(tmp_path / name, spec=other)
    assert [problem.where for problem in caught.value.problems] == ["out"]


def test_names_in_a_spec_decide_between_equal_shapes(tmp_path: Path) -> None:
    net = modules(rnn=nn.GRU(3, 4), one=nn.Sequential(nn.Linear(4, 4)), dense_1=nn.Linear(4, 4))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    heads = "{type: gru, units: 4}\nheads: {a: {units: 4}, b: {units: 4"
    text = f"{START}input: {{features: 3}}\nrnn: {heads}"
    # The names that layers get by themselves name no module.
    with pytest.raises(ModelError, match=r"may be those of one\.0 or dense_1; .* --map") as caught:
        take(tmp_path / "net.pt", spec=pipeline.reads(f"{text}}}}}"))
    expected = [("dense_1", "E710"), ("dense_2", "E710")]
    assert [(problem.where, problem.code) for problem in caught.value.problems] == expected
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(f"{text}, name: one_0}}}}"))
    assert [layer.layer for layer in taken.imported.layers] == ["rnn[0]", "dense_1", "one.0"]
    assert not taken.imported.inferred


@cases(
    "layers",
    [
        # As it is in the file, whatever else the sizes allow.
        "inp 4 4, rnn 4 4, out 4 2",
        "norm 4, rnn 4 4, out 4 2",
        "rnn 4 4, fc 4 4, out 4 2",
        # A size is no order.
        "out 6 2, rnn 4 6 -> rnn: expected 2 inputs, .* received 4; .* --spec",
        "rnn 5 8, out 13 5 -> out: expected 8 inputs, .* received 13; .* --spec",
    ],
)
def test_a_draft_has_the_order_of_the_file(tmp_path: Path, layers: str) -> None:
    listed, _, refused = layers.partition(" -> ")
    kinds = {"rnn": nn.GRU, "norm": nn.LayerNorm}
    net = modules(
        **{
            name: kinds.get(name, nn.Linear)(*map(int, sizes))
            for name, *sizes in map(str.split, listed.split(", "))
        }
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    if refused:
        with pytest.raises(ModelError, match=refused):
            take(tmp_path / "net.pt")
        return
    taken = take(tmp_path / "net.pt")
    assert [layer.layer.partition("[")[0] for layer in taken.imported.layers] == [*net]
    assert not taken.imported.inferred


def test_names_that_a_file_sorts_are_no_order(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    layers = {"z": nn.Embedding(9, 4), "rnn": nn.GRU(4, 5), "out": nn.Linear(5, 2)}
    path = tmp_path / "net.safetensors"
    save_file(modules(**layers).state_dict(), path)
    taken = take(path)
    assert [layer.layer for layer in taken.imported.layers] == ["z", "rnn[0]", "out"]
    sentence = "the order of the modules, whose names the file sorts: z, rnn and out"
    assert taken.imported.inferred == (sentence,)
    save_file(modules(inp=nn.Linear(4, 4), **layers).state_dict(), path)
    with pytest.raises(ModelError, match=r"inp: may be before rnn or behind it, .* --spec"):
        take(path)


def test_heads_of_a_spec_whose_outputs_come_last(tmp_path: Path) -> None:
    net = modules(
        rnn=nn.GRU(3, 4),
        actor=nn.Linear(4, 4),
        critic=nn.Linear(4, 4),
        value=nn.Linear(4, 1),
        policy=nn.Linear(4, 2),
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"policy: expected 1 inputs, .* --spec"):
        take(tmp_path / "net.pt")
    text = f"""{START}input: {{features: 3}}
rnn: {{type: gru, units: 4}}
heads:
  policy: {{hidden: [{{units: 4, activation: tanh, name: actor}}], units: 2}}
  value: {{hidden: [{{units: 4, activation: tanh, name: critic}}], units: 1}}
"""
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    layers = [layer.layer for layer in taken.imported.layers]
    assert layers == ["rnn[0]", "actor", "policy", "critic", "value"]
    assert not taken.imported.inferred


def test_state_dicts_of_our_own_source(tmp_path: Path, covering_spec: Path) -> None:
    program = pipeline.read(covering_spec)
    for form in pipeline.forms_of(program, get("torch")):
        generated = pipeline.generate(program, get("torch"), form)
        built = pipeline.instantiate(generated, drawn=False)
        arrays = draw_scaled(program.network, 1)
        generated.store.write(built, arrays)
        state = {f"_orig_mod.module.{name}": array for name, array in built.state_dict().items()}
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "net.pt")
        taken = take(tmp_path / "net.pt", spec=program)
        for name, array in arrays.items():
            np.testing.assert_array_equal(taken.arrays[name], array.astype("f4"), err_msg=name)


def test_a_cell_of_ours_in_a_file_of_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    cell = "cells: {mgu: {from: mgu}}\nrnn: {type: mgu, units: 4}\n"
    program = pipeline.reads(f"{START}input: {{features: 3}}\n{cell}")
    state = rnnspec.build(program.spec, "torch", seed=1).state_dict()
    save_file(dict(state), tmp_path / "net.safetensors")
    # Without a head, the names are canonical ones as well.
    arrays = take(tmp_path / "net.safetensors", spec=program).arrays
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name])
    with pytest.raises(UsageError, match="contains no spec"):
        take(tmp_path / "net.safetensors")
    lstm = rnnspec.build(rnnspec.loads(f"{TOKENS}rnn: {{type: lstm, units: 4}}\n"), "torch")
    save_file(dict(lstm.state_dict()), tmp_path / "lstm.safetensors")
    with pytest.raises(ModelError, match=r"expected bias_hh beside bias_ih; .* with --spec"):
        take(tmp_path / "lstm.safetensors")


@cases(("kind", "cell"), [("lstm", nn.LSTMCell), ("gru", nn.GRUCell), ("simple", nn.RNNCell)])
def test_cells_that_a_loop_calls(tmp_path: Path, kind: str, cell: Any) -> None:
    net = modules(one=cell(3, 4), two=cell(4, 5, bias=False), out=nn.Linear(5, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(ModelError, match=rf"nn.{cell.__name__} takes a step, .* with --spec"):
        take(tmp_path / "net.pt")
    text = f"""{START}input: {{features: 3}}
rnn: [{{type: {kind}, units: 4}}, {{type: {kind}, units: 5, bias: false}}]
head: {{units: 2}}
"""
    batch = torch.randn(2, 6, 3, dtype=torch.float64)
    one: Any = None
    two: Any = None
    with torch.no_grad():
        for x in batch.unbind(1):
            one = net["one"](x, one)
            two = net["two"](one[0] if kind == "lstm" else one, two)
        expected = net["out"](two[0] if kind == "lstm" else two)
    output = run(take(tmp_path / "net.pt", spec=pipeline.reads(text)), batch.numpy())
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)


@cases("shape", [(4,), (1, 4), (4, 1)])
def test_a_parameter_that_scores_steps(tmp_path: Path, shape: tuple[int, ...]) -> None:
    net = modules(rnn=nn.GRU(3, 4, batch_first=True), out=nn.Linear(4, 2))
    net.v = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    head = "head: {pooling: {attention: {}}, units: 2}\n"
    text = f"{START}input: {{features: 3}}\nrnn: {{type: gru, units: 4}}\n{head}"
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    batch = torch.randn(2, 6, 3, dtype=torch.float64)
    with torch.no_grad():
        h, _ = net["rnn"](batch)
        weights = torch.softmax(h @ net.v.reshape(4, 1), 1)
        expected = net["out"]((weights * h).sum(1))
    np.testing.assert_allclose(run(taken, batch.numpy()), expected, rtol=0, atol=1e-12)


def test_an_additive_attention_with_three_biases(tmp_path: Path) -> None:
    net = modules(
        encoder=nn.GRU(3, 4, batch_first=True),
        decoder=nn.LSTM(2, 5, batch_first=True),
        Wa=nn.Linear(5, 6),
        Ua=nn.Linear(4, 6),
        Va=nn.Linear(6, 1),
        out=nn.Linear(4, 2),
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    text = f"""{START}inputs: {{source: {{features: 3}}, target: {{features: 2}}}}
rnn:
- {{type: gru, units: 4, of: source, name: encoder}}
- {{type: lstm, units: 5, of: target, name: decoder}}
- {{type: attention, over: encoder, score: additive, units: 6}}
head: {{pooling: none, units: 2}}
"""
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    assert taken.imported.left_out == ("Va.bias (a softmax is the same without it)",)
    source, target = (torch.randn(2, n, w, dtype=torch.float64) for n, w in ((5, 3), (4, 2)))
    with torch.no_grad():
        memory, queries = net["encoder"](source)[0], net["decoder"](target)[0]
        sums = net["Ua"](memory)[:, None] + net["Wa"](queries)[:, :, None]
        weights = torch.softmax(net["Va"](torch.tanh(sums))[..., 0], -1)
        expected = net["out"](weights @ memory)
    output = run(taken, {"source": source.numpy(), "target": target.numpy()})
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)


def test_a_tied_layer_that_has_nothing_of_its_own(tmp_path: Path) -> None:
    text = f"{TOKENS}rnn: {{type: gru, units: 4}}\nhead: {{units: 9, tied: true, bias: false}}\n"
    state = tied("emb", "out")
    del state["out.weight"], state["out.bias"]
    torch.save(state, tmp_path / "net.pt")
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    np.testing.assert_array_equal(taken.arrays["embedding_1.embeddings"], state["emb.weight"])

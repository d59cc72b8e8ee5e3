"""Generated modules behave like any PyTorch module, although they have a single bias."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import io
import pickle
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from offered import import_later

import rnnspec
from rnnspec.backends import get

if TYPE_CHECKING:
    from pathlib import Path

torch = import_later("torch")

SPECS = {
    "one": "rnn: {type: lstm, units: 4, dropout: 0.2}",
    "simple": "rnn: {type: simple, units: 4}",
    "both": "rnn: {type: lstm, units: 4, bidirectional: true}",
    "both_dropped": "rnn: {type: simple, units: 4, bidirectional: true, dropout: 0.2}",
    "gated": "rnn: {type: gru, units: 4, layers: 2}",
    "without": "rnn: {type: lstm, units: 4, bias: false}",
}
# Parameter counts for an input of 3 features, 4 units and a head of 1 unit, computed by hand.
COUNTS = {
    "one": 4 * 4 * (3 + 4 + 1) + 5,
    "simple": 4 * (3 + 4 + 1) + 5,
    "both": 2 * 4 * 4 * (3 + 4 + 1) + 9,
    "both_dropped": 2 * 4 * (3 + 4 + 1) + 9,
    "gated": 3 * 4 * (3 + 4 + 2) + 3 * 4 * (4 + 4 + 2) + 5,
    "without": 4 * 4 * (3 + 4) + 5,
}
SINGLE = ["one", "simple", "both", "both_dropped"]


def build(name: str) -> Any:
    text = f"""\
version: 1
name: {name}_net
input: {{features: 3}}
{SPECS[name]}
head: {{units: 1, activation: sigmoid}}
"""
    return rnnspec.build(rnnspec.loads(text), "torch", seed=2).eval()


def batch(rows: int = 2, steps: int = 5) -> Any:
    return torch.randn(rows, steps, 3, generator=torch.Generator().manual_seed(6))


@pytest.fixture(params=SPECS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each network."""
    return str(request.param)


@pytest.fixture
def model(name: str) -> Any:
    """The network with that name, in inference mode, with the weights of seed 2."""
    return build(name)


def test_it_holds_as_many_parameters_as_the_arithmetic_says(model: Any, name: str) -> None:
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]
    assert sum(t.numel() for t in model.state_dict().values()) == COUNTS[name]


def test_what_was_made_without_memory_has_its_zeros_where_it_gets_some(model: Any) -> None:
    with torch.device("meta"):
        made = type(model)()
    with pytest.MonkeyPatch.context() as patch:
        # New memory has arbitrary contents; 7 makes sure that they are not zeros by chance.
        patch.setattr(torch, "empty_like", lambda t, **given: torch.full_like(t, 7.0, **given))
        made.to_empty(device="cpu")
    made.load_state_dict(model.state_dict())
    assert all(not zero.any() for key, zero in made.named_buffers() if "bias_hh" in key)
    torch.testing.assert_close(made.eval()(batch()), model(batch()))


def test_there_is_no_second_bias_in_the_state(name: str) -> None:
    keys = build(name).state_dict().keys()
    assert any("bias_hh" in key for key in keys) == (name == "gated")


@pytest.mark.parametrize("single", SINGLE)
def test_the_second_bias_is_a_zero_that_stays(single: str) -> None:
    model = build(single)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(batch()).sum().backward()
        optimizer.step()
    zeros = [buffer for key, buffer in model.named_buffers() if "bias_hh" in key]
    assert len(zeros) == (2 if single.startswith("both") else 1)
    assert all(not zero.any() and not zero.requires_grad for zero in zeros)


def test_gradients_reach_every_parameter(model: Any) -> None:
    model.train()(batch()).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_a_bias_is_used(model: Any, name: str) -> None:
    before = model(batch())
    biases = [p for key, p in model.named_parameters() if "bias_ih" in key]
    assert bool(biases) == (name != "without")
    for bias in biases:
        with torch.no_grad():
            kept = bias.clone()
            bias.add_(1.0)
            assert not torch.allclose(model(batch()), before)
            bias.copy_(kept)


def test_a_deep_copy_is_a_network_of_its_own(model: Any) -> None:
    twin = copy.deepcopy(model)
    expected = model(batch())
    torch.testing.assert_close(twin(batch()), expected, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin(batch()), expected, rtol=0, atol=0)
    assert not torch.equal(model(batch()), expected)


def test_a_saved_state_fills_another_network(name: str) -> None:
    model, other = build(name), build(name)
    other.reset_parameters()
    assert not torch.equal(other(batch()), model(batch()))
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    saved.seek(0)
    other.load_state_dict(torch.load(saved, weights_only=True))
    torch.testing.assert_close(other(batch()), model(batch()), rtol=0, atol=0)


def test_pickle_takes_a_whole_model(model: Any) -> None:
    other = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(other(batch()), model(batch()), rtol=0, atol=0)


def test_it_runs_in_double_precision(model: Any) -> None:
    expected = model(batch())
    result = model.double()(batch().double())
    assert result.dtype == torch.float64
    torch.testing.assert_close(result.float(), expected)


def test_it_can_be_put_on_another_device(model: Any) -> None:
    result = model.to("meta")(batch().to("meta"))
    assert result.shape == (2, 1)


# PyTorch warns about its own recurrent modules too, which keep their weights in a list as well.
@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export")
def test_it_is_exported(model: Any) -> None:
    exported = torch.export.export(model, (batch(),)).module()
    torch.testing.assert_close(exported(batch()), model(batch()))


# PyTorch's compiler causes this warning around every recurrent module, because it does not trace
# it.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_it_is_compiled(model: Any) -> None:
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager")
    torch.testing.assert_close(compiled(batch()), model(batch()))
    ours, theirs = model(batch()).sum(), compiled(batch()).sum()
    parameters = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad(ours, parameters),
        torch.autograd.grad(theirs, parameters),
        strict=True,
    ):
        torch.testing.assert_close(other, one)


def test_its_logits_are_what_the_sigmoid_takes(model: Any) -> None:
    logits = model(batch(), logits=True)
    assert not torch.allclose(logits, model(batch()))
    torch.testing.assert_close(torch.sigmoid(logits), model(batch()), rtol=0, atol=0)
    with pytest.raises(TypeError, match="positional argument"):
        model(batch(), True)


@pytest.mark.parametrize("head", ["", "head: {units: 1}", "head: {units: 1, activation: tanh}"])
def test_there_are_no_logits_where_no_loss_takes_them(head: str) -> None:
    text = f"version: 1\nname: net\ninput: {{features: 3}}\nrnn: {{type: gru, units: 4}}\n{head}\n"
    with pytest.raises(TypeError, match="unexpected keyword argument 'logits'"):
        rnnspec.build(rnnspec.loads(text), "torch")(batch(), logits=True)


def test_its_source_can_be_read(model: Any) -> None:
    source = inspect.getsource(type(model))
    assert source.startswith(f"class {type(model).__name__}(nn.Module):")
    forward = "def forward(self, x: torch.Tensor, *, logits: bool = False) -> torch.Tensor:"
    assert forward in source
    assert source in inspect.getsource(sys.modules[type(model).__module__])
    assert "super().__init__()" in inspect.getsource(type(model).__init__)


def test_a_traceback_shows_its_lines(model: Any) -> None:
    expected = r"expected \(batch, steps > 0, 3\), received torch.Size\(\[2, 5, 9\]\)"
    with pytest.raises(ValueError, match=expected) as refused:
        model(torch.zeros(2, 5, 9))
    assert "raise ValueError(f" in "".join(traceback.format_exception(refused.value))
    with pytest.raises((RuntimeError, ValueError)) as caught:
        model(torch.zeros(2, 5, 3, dtype=torch.float16))
    text = "".join(traceback.format_exception(caught.value))
    layer = next(name for name, _ in model.named_children())
    assert f"= self.{layer}" in text


def test_only_one_row_or_one_step_is_enough(model: Any) -> None:
    whole = model(batch(3, 4))
    for row in range(3):
        torch.testing.assert_close(model(batch(3, 4)[row : row + 1]), whole[row : row + 1])
    assert model(batch(1, 1)).shape == (1, 1)


def test_what_build_writes_makes_the_same_model(name: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    model = build(name)
    source = inspect.getsource(sys.modules[type(model).__module__])
    get("torch").runtime.save(model, tmp_path, "net", source, "the spec")
    found = importlib.util.spec_from_file_location(f"net_{name}", tmp_path / "net.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    other = getattr(module, type(model).__name__)().eval()
    other.load_state_dict(safetensors.load_file(tmp_path / "net.safetensors"))
    torch.testing.assert_close(other(batch()), model(batch()), rtol=0, atol=0)


OWN = [
    "type: lstm",
    "type: gru, reset_after: false",
    "type: gru, activation: elu",
    "type: lstm, recurrent_activation: hard_sigmoid, bidirectional: true",
    "type: simple, activation: softsign",
]


def own(words: str) -> Any:
    text = f"""\
version: 1
name: own_net
input: {{features: 3, mask_value: 9}}
rnn: {{{words}, units: 4, dropout: 0.2, recurrent_dropout: 0.2}}
"""
    return rnnspec.build(rnnspec.loads(text), "torch").train()


@pytest.mark.parametrize("words", OWN)
def test_cells_of_its_own_train_under_autocast(words: str) -> None:
    model = own(words)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(batch()).float().square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("words", [*OWN, "type: lstm, layer_norm: true"])
def test_no_row_gives_no_row_and_no_step_is_refused(words: str) -> None:
    model = own(words)
    assert model(batch(rows=0)).shape[:2] == (0, 5)
    with pytest.raises(
        ValueError,
        match=r"expected \(batch, steps > 0, 3\), received torch.Size\(\[2, 0, 3\]\)",
    ):
        model(batch(steps=0))


def test_no_row_passes_through_a_masked_fused_layer() -> None:
    text = "version: 1\nname: net\ninput: {features: 3, mask_value: 9}\nrnn: {type: lstm, units: 4}"
    assert rnnspec.build(rnnspec.loads(text), "torch")(batch(rows=0)).shape == (0, 5, 4)


PADDED = [
    "{type: lstm, units: 4, bidirectional: true, layers: 2}",
    "{type: gru, units: 4}\nhead: {pooling: mean}",
]


def padded(rnn: str) -> tuple[Any, Any, Any, Any]:
    """Return a model, a batch with padding at the end, another batch, and the first one's mask."""
    text = f"version: 1\nname: net\ninput: {{features: 3, mask_value: 9}}\nrnn: {rnn}\n"
    short, other = batch(3, 8), batch(3, 8)
    short[:, 3:] = 9
    other[0, 5:] = other[1] = other[2, ::2] = 9
    model = rnnspec.build(rnnspec.loads(text), "torch", seed=1).eval()
    return model, short, other, (other != 9).any(-1)


@pytest.mark.parametrize("rnn", PADDED)
def test_what_is_padding_in_every_row_is_not_run(rnn: str) -> None:
    model, short, _, _ = padded(rnn)
    steps: list[int] = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.RNNBase):
            layer.register_forward_pre_hook(lambda _, given: steps.append(given[0].shape[1]))
    found, wanted = model(short), model(short[:, :4])
    assert set(steps) == {3}
    real = ... if found.ndim == 2 else (slice(None), slice(3))
    torch.testing.assert_close(found[real], wanted[real])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("rnn", PADDED)
@pytest.mark.parametrize("way", ["trace", "export", "compile"])
def test_what_is_traced_on_a_short_batch_serves_a_long_one(rnn: str, way: str) -> None:
    model, short, other, mask = padded(rnn)
    match way:
        case "trace":
            traced = torch.jit.trace(model, short)
        case "export":
            traced = torch.export.export(model, (short,)).module()
        case _:
            torch.compiler.reset()
            traced = torch.compile(model, backend="aot_eager")
            traced(short)
    found, wanted = traced(other), model(other)
    real = ... if found.ndim == 2 else mask
    torch.testing.assert_close(found[real], wanted[real])

"""The layers around the recurrent ones in PyTorch: their source, arrays, padding and training."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.torch.plan import plan_layers, stack_of
from rnnspec.comparison import reference
from rnnspec.comparison.batch import draw_input
from rnnspec.errors import SpecError
from rnnspec.ir.params import counts
from rnnspec.weights.initial import draw_scaled
from rnnspec.weights.store import Store

torch = import_later("torch")

# PyTorch warns about its own TorchScript, and about its own recurrent modules.
DEPRECATED = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:The tensor attributes .* were assigned during export"
)

TOKENS = "embedding: {vocabulary: 9, dim: 4, mask_zero: true}"
NUMBERS = "input: {features: 4, mask_value: 0.5}"
PLAIN = "input: {features: 4}"
FIXED = "input: {features: 4, length: 14}"
INPUTS = {"tokens": TOKENS, "numbers": NUMBERS, "plain": PLAIN, "fixed": FIXED}
LSTM = "{type: lstm, units: 4}"
STACKS = {
    "valid": f"{{type: conv, filters: 3, kernel_size: 3, activation: relu}}, {LSTM}",
    "even": f"{{type: conv, filters: 3, kernel_size: 4, padding: same, bias: false}}, {LSTM}",
    "strided": "{type: conv, filters: 3, kernel_size: 4, stride: 3, padding: same}, "
    f"{{type: conv, filters: 3, kernel_size: 1, stride: 2, padding: same}}, {LSTM}",
    "sparse": f"{{type: conv, filters: 3, kernel_size: 2, stride: 4, padding: same}}, {LSTM}",
    "dilated": "{type: conv, filters: 3, kernel_size: 3, dilation: 2, padding: causal, "
    f"activation: softmax}}, {LSTM}",
    "pools": "{type: max_pool, size: 2, padding: same}, {type: average_pool, size: 3, stride: 1, "
    f"padding: same}}, {{type: average_pool, size: 2}}, {LSTM}",
    "uneven": "{type: average_pool, size: 2, stride: 1, padding: same}, {type: max_pool, size: 3, "
    f"stride: 2, padding: same}}, {LSTM}",
    "norms": f"{{type: batch_norm, momentum: 0.7}}, {LSTM}, {{type: layer_norm}}, {LSTM}, "
    f"{{type: batch_norm, epsilon: 0.01}}, {LSTM}",
    "run": "{type: dense, units: 3, activation: {leaky_relu: 0.1}}, {type: conv, filters: 3, "
    "kernel_size: 3, padding: causal}, {type: batch_norm}, {type: activation, activation: "
    "{clipped_relu: 1}}, {type: dropout, rate: 0.2, variational: true}, {type: dropout, rate: "
    f"0.1}}, {{type: max_pool, size: 2}}, {{type: activation, activation: softmax}}, {LSTM}",
    "join": f"{LSTM}, {LSTM}, {{type: concat, of: [lstm_1, lstm_2]}}, {{type: conv, filters: 3, "
    "kernel_size: 2, padding: same}, {type: conv, filters: 3, kernel_size: 2, padding: causal}, "
    f"{{type: concat, of: [conv_2, conv_1, lstm_1]}}, {LSTM}",
}
POOLINGS = (
    "[last, mean, {attention: {units: 3, activation: softplus}}]",
    "[sum, max, {attention: {}}]",
    "none",
)
HIDDEN = "hidden: [{type: batch_norm}, {type: activation, activation: relu}, {type: layer_norm}]"


def spec(entrance: str, rnn: str, head: str = "head: {units: 2}", more: str = "") -> rnnspec.Spec:
    return rnnspec.loads(f"version: 1\nname: net\n{entrance}\nrnn: [{rnn}]\n{head}\n{more}")


def build(
    entrance: str, rnn: str, head: str = "head: {units: 2}", form: str | None = None
) -> tuple[Any, Any]:
    """Return a model in float64 with arrays that make errors visible, and a batch."""
    program = pipeline.program(spec(entrance, rnn, head))
    generated = pipeline.generate(program, get("torch"), form)  # type: ignore[arg-type]
    model = pipeline.instantiate(generated, "float64")
    generated.store.write(model, draw_scaled(program.network, 0))
    batch = torch.from_numpy(draw_input(program.network.input, np.random.default_rng(0), 14))
    return model, batch


def forward_of(text: str) -> list[str]:
    """Return the lines of the method ``forward`` of a model, which is the last of its source."""
    return [line.strip() for line in text[text.rindex("def forward") :].splitlines()]


def source(entrance: str, rnn: str, head: str = "head: {units: 2}", form: str = "training") -> str:
    return rnnspec.codegen(spec(entrance, rnn, head), "torch", form=form)


CAUSAL = (
    "{type: conv, filters: 4, kernel_size: 3, dilation: 2, padding: causal, activation: relu}, "
    "{type: batch_norm}, {type: conv, filters: 3, kernel_size: 1, padding: causal}, "
    "{type: conv, filters: 4, kernel_size: 4, padding: causal, activation: softmax}, "
    f"{LSTM}, {{type: concat, of: [conv_1, lstm_1]}}, {{type: dense, units: 4}}, {LSTM}"
)


@DEPRECATED
@pytest.mark.parametrize("pooling", ["last", "[mean, sum, max]", "none"])
@pytest.mark.parametrize("entrance", INPUTS)
def test_a_chunk_continues_the_windows_of_the_one_before(entrance: str, pooling: str) -> None:
    head = f"head: {{pooling: {pooling}, {HIDDEN}, units: 2}}"
    assert rnnspec.parity(spec(INPUTS[entrance], CAUSAL, head), ["torch"], form="step").equal
    model, batch = build(INPUTS[entrance], CAUSAL, head, "step")
    scripted, states = torch.jit.script(model), model.initial_states(batch)
    assert states["conv_1_inputs"].shape == (len(batch), 4, 4)
    assert "conv_2_inputs" not in states
    for chunk in batch.split([1, 6, 3, 4], dim=1):
        with torch.no_grad():
            expected, _ = model(chunk, states)
            output, states = scripted(chunk, states)
        torch.testing.assert_close(output, expected, rtol=0.0, atol=1e-12)


@DEPRECATED
@pytest.mark.parametrize(("entrance", "stack"), [("tokens", "strided"), ("numbers", "run")])
def test_tools_take_it_for_inference(entrance: str, stack: str) -> None:
    model, batch = build(INPUTS[entrance], STACKS[stack], form="inference")
    with torch.no_grad():
        expected = model(batch)
        scripted = torch.jit.script(model)(batch)
        dynamic = ({0: torch.export.Dim.DYNAMIC},)
        exported = torch.export.export(model, (batch[:2],), dynamic_shapes=dynamic).module()
        torch.testing.assert_close(scripted, expected, rtol=0.0, atol=1e-12)
        torch.testing.assert_close(exported(batch), expected, rtol=0.0, atol=1e-12)


def test_a_run_is_transposed_once() -> None:
    lines = forward_of(source(TOKENS, STACKS["run"]))
    first, last = (at for at, line in enumerate(lines) if line == "x = x.transpose(1, 2)")
    inside = "\n".join(lines[first + 1 : last])
    names = re.findall(r"self\.(\w+)\(x", inside)
    assert names == ["conv_1", "batch_norm_1", "dropout_1", "dropout_2", "max_pool_1"]
    assert "transpose" not in inside
    # The activation at its end is on the features of the other layout.
    assert "x = torch.softmax(x, dim=-1)" in lines[last:]


def test_a_layer_alone_is_transposed_in_its_line() -> None:
    lines = forward_of(source(PLAIN, f"{LSTM}, {{type: batch_norm}}, {LSTM}"))
    assert "x = self.batch_norm_1(x.transpose(1, 2)).transpose(1, 2)" in lines


def test_an_output_that_is_used_again_ends_a_run() -> None:
    text = source(PLAIN, STACKS["join"])
    lines = forward_of(text)
    at = lines.index("conv_1_out = x")
    assert lines[at - 1] == lines[at + 1] == "x = x.transpose(1, 2)"


@pytest.mark.parametrize(
    ("window", "module", "added"),
    [
        ("size: 3, stride: 1, padding: same", "nn.MaxPool1d(3, stride=1, padding=1)", ""),
        ("size: 2, stride: 1, padding: same", "nn.MaxPool1d(2, stride=1)", "(0, 1)"),
        ("size: 4", "nn.MaxPool1d(4)", ""),
        # 14 steps have 5 windows of 3 steps, one more than there are.
        ("size: 3, padding: same", "nn.MaxPool1d(3)", "(0, 1)"),
        ("size: 4, padding: same", "nn.MaxPool1d(4, padding=1)", ""),
    ],
)
def test_steps_are_added_by_the_module_or_before_it(window: str, module: str, added: str) -> None:
    text = source(FIXED, f"{{type: max_pool, {window}}}, {LSTM}")
    assert f"self.max_pool_1 = {module}\n" in text
    pads = re.findall(r"functional.pad\(x, (\(.*?\))", text)
    assert pads == ([added] if added else [])


def test_padding_same_is_left_to_pytorch_only_where_it_is_even() -> None:
    odd = source(PLAIN, f"{{type: conv, filters: 2, kernel_size: 3, padding: same}}, {LSTM}")
    even = source(PLAIN, f"{{type: conv, filters: 2, kernel_size: 4, padding: same}}, {LSTM}")
    assert 'nn.Conv1d(4, 2, 3, padding="same")' in odd
    assert "functional.pad" not in odd
    # PyTorch puts the odd step there too, and warns about it.
    assert "nn.functional.pad(x, (1, 2))" in even


def test_the_biased_variance_is_stored_and_the_momentum_is_kept() -> None:
    rnn = f"{{type: batch_norm, momentum: 0.75}}, {LSTM}"
    model, batch = build(PLAIN, rnn)
    norm = model.batch_norm_1
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    model.train()(batch)
    rows = batch.flatten(0, 1)
    expected = 0.75 * variance + 0.25 * rows.var(dim=0, correction=0)
    torch.testing.assert_close(norm.running_var, expected, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(norm.running_mean, 0.75 * mean + 0.25 * rows.mean(dim=0))
    before = copy.deepcopy(norm.state_dict())
    model.eval()(batch)
    assert all(torch.equal(array, norm.state_dict()[key]) for key, array in before.items())


def test_real_steps_alone_move_a_masked_batch_norm() -> None:
    model, batch = build(NUMBERS, f"{{type: batch_norm, momentum: 0}}, {LSTM}")
    model.train()(batch)
    real = batch[(batch != 0.5).any(dim=-1)]
    norm = model.batch_norm_1
    torch.testing.assert_close(norm.running_mean, real.mean(dim=0), rtol=0.0, atol=1e-12)
    variance = real.var(dim=0, correction=0)
    torch.testing.assert_close(norm.running_var, variance, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("form", ["inference", "step"])
def test_deployed_batch_norms_are_stock_layers_in_inference(form: str) -> None:
    model, batch = build(PLAIN, f"{{type: batch_norm}}, {LSTM}", form=form)
    assert type(model.batch_norm_1) is torch.nn.BatchNorm1d
    assert not model.training
    before = copy.deepcopy(model.state_dict())
    model(batch)
    assert all(torch.equal(array, model.state_dict()[key]) for key, array in before.items())


@pytest.mark.parametrize("form", ["training", "inference", "step"])
def test_moving_arrays_are_counted_saved_and_read(form: str, tmp_path: Any) -> None:
    one = spec(
        PLAIN,
        f"{{type: batch_norm}}, {LSTM}, {{type: batch_norm}}",
        "head: {units: 2, pooling: sum}",
    )
    program = pipeline.program(one)
    generated = pipeline.generate(program, get("torch"), form)  # type: ignore[arg-type]
    arrays = draw_scaled(program.network, 3)
    model = pipeline.instantiate(generated)
    generated.store.write(model, arrays)
    runtime = get("torch").runtime
    assert runtime.counts(model).non_trainable == counts(program.network).non_trainable == 16
    assert runtime.layer_count(model, generated.network.layers[0]) == 16
    runtime.save(model, tmp_path, "net", generated.text, "")
    again = runtime.reload(tmp_path, "net", generated.source)
    for name, array in generated.store.read(again).items():
        np.testing.assert_array_equal(array, arrays[name].astype(np.float32), err_msg=name)
    # The counter of a stock layer is not an array of the network.
    assert not any(
        "num_batches" in line
        for line in (tmp_path / "net.safetensors").read_bytes().decode("latin-1").split(",")
    )


def test_a_model_for_training_is_not_one_for_inference() -> None:
    """Its second bias is a buffer, as the moving arrays are, but holds nothing."""
    model, _ = build(PLAIN, f"{{type: batch_norm}}, {LSTM}")
    program = pipeline.program(spec(PLAIN, f"{{type: batch_norm}}, {LSTM}"))
    arranged = pipeline.arrange(program, get("torch"), "inference")
    assert not Store(get("torch"), arranged).fits(model)


def test_a_variational_dropout_drops_a_feature_of_all_steps() -> None:
    seen = []
    model, batch = build(PLAIN, f"{LSTM}, {{type: dropout, rate: 0.5, variational: true}}, {LSTM}")
    model.lstm_2.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    model.train()(batch)
    dropped = seen[0] == 0
    assert torch.equal(dropped.any(dim=1), dropped.all(dim=1))
    assert 0 < dropped.double().mean() < 1


TIED = "head: {pooling: none, units: 9, tied: true, activation: softmax%s}"


@pytest.mark.parametrize("form", ["training", "inference", "step"])
@pytest.mark.parametrize("bias", ["true", "false"])
def test_a_tied_layer_shares_one_array(bias: str, form: str) -> None:
    model, batch = build(TOKENS, LSTM, TIED % f", bias: {bias}", form)
    keys = [key for key in model.state_dict() if "embedding" in key or "dense" in key]
    assert keys == ["embedding_1.weight", *(["dense_1.bias"] if bias == "true" else [])]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.embedding_1.weight[3] += 1.0
        without = batch.clone()
        without[without == 3] = 4
        expected, output = model(without), twin(without)
    # No sequence has token 3, whose probability has changed.
    expected, output = (x[0] if isinstance(x, tuple) else x for x in (expected, output))
    assert not torch.allclose(output, expected)


@pytest.mark.parametrize("bias", ["true", "false"])
def test_a_shared_array_gets_the_gradients_of_both_uses(bias: str) -> None:
    model, batch = build(TOKENS, LSTM, TIED % f", bias: {bias}")
    logits = model.train()(batch, logits=True)
    torch.testing.assert_close(torch.softmax(logits, dim=-1), model(batch))
    logits[batch != 0].square().sum().backward()
    # Unused tokens get a gradient from the output layer, as does the vector of padding.
    assert model.embedding_1.weight.grad.any(dim=1).all()
    one = spec(TOKENS, LSTM, TIED % f", bias: {bias}")
    assert rnnspec.parity(one, ["torch"], level="gradients").equal


def test_each_head_has_logits_if_a_loss_takes_them() -> None:
    # The output of the trunk is that of a head and the input of others.
    trunk = f"{LSTM}, {{type: dense, units: 3, activation: softmax}}"
    model, batch = build(
        TOKENS,
        trunk,
        "heads: {raw: {pooling: none}, tags: {pooling: none, units: 2, activation: softmax}, "
        "kind: {pooling: mean, units: 1, activation: sigmoid}, "
        "vector: {pooling: max, units: 3, activation: tanh}}",
    )
    outputs, logits = model(batch), model(batch, logits=True)
    assert not torch.allclose(logits["tags"], outputs["tags"])
    logits["tags"], logits["kind"] = logits["tags"].softmax(dim=-1), logits["kind"].sigmoid()
    torch.testing.assert_close(logits, outputs, rtol=0, atol=0)
    described = "    tags: ``CrossEntropyLoss``\n    kind: ``BCEWithLogitsLoss``\n"
    assert described in inspect.getsource(type(model)).replace("        ", "")
    model, batch = build(TOKENS, trunk, "heads: {raw: {pooling: none}, mean: {pooling: mean}}")
    with pytest.raises(TypeError, match="unexpected keyword argument 'logits'"):
        model(batch, logits=True)


def test_only_plain_neighbours_are_one_module() -> None:
    def stacks(rnn: str, form: str = "training") -> list[str]:
        program = pipeline.program(spec(PLAIN, rnn))
        arranged = pipeline.arrange(program, get("torch"), form)  # type: ignore[arg-type]
        found = (stack_of(layer) for layer in arranged.layers)
        return [stack.name for stack in found if stack]

    assert stacks(f"{LSTM}, {LSTM}") == ["lstm_1", "lstm_1"]
    assert stacks(f"{LSTM}, {{type: dropout, rate: 0.5}}, {LSTM}") == ["lstm_1", "lstm_1"]
    for between in (
        "{type: dropout, rate: 0.5, variational: true}",
        "{type: batch_norm}",
        "{type: dense, units: 4}",
        "{type: activation, activation: relu}",
        "{type: max_pool, size: 1}",
        "{type: conv, filters: 4, kernel_size: 1}",
    ):
        assert stacks(f"{LSTM}, {between}, {LSTM}") == [], between
    # What a join takes from inside of a module is not accessible.
    joined = (
        f"{LSTM}, {LSTM}, {LSTM}, {{type: concat, of: [lstm_%d, lstm_3]}}, {{type: gru, units: 3}}"
    )
    assert stacks(joined % 1) == ["lstm_2", "lstm_2"]
    assert stacks(joined % 2) == ["lstm_1", "lstm_1"]
    dropped = f"{LSTM}, {{type: dropout, rate: 0.5}}, {LSTM}, "
    dropped += f"{{type: concat, of: [dropout_1, lstm_2]}}, {LSTM}"
    assert stacks(dropped) == []


def test_layers_with_a_source_of_their_own_are_no_module() -> None:
    network = pipeline.program(spec(PLAIN, f"{LSTM}, {LSTM}, {LSTM}")).network
    first, second, third, *rest = network.layers
    branches = replace(second, source="lstm_1"), replace(third, source="lstm_1")
    arranged = plan_layers(replace(network, layers=(first, *branches, *rest)), "training")
    assert not any(stack_of(layer) for layer in arranged.layers)


def test_each_array_of_each_layer_starts_from_its_own() -> None:
    initial = (
        "initializers: {kernel: {constant: 2}, recurrent: {constant: 3}, bias: {constant: 4}, "
        "embedding: {constant: 6}}"
    )
    head = "head: {pooling: [mean, {attention: {units: 3}}, {attention: {}}], hidden: [{type: "
    head += "dense, units: 4}], units: 9, tied: true}"
    rnn = f"{{type: conv, filters: 3, kernel_size: 2, bias: false}}, {STACKS['run']}"
    model = rnnspec.build(spec(TOKENS, rnn, head, initial), "torch")
    arrays = rnnspec.read_weights(model)
    values = {"embeddings": 6, "kernel": 2, "recurrent_kernel": 3, "query": 2, "bias": 4}
    values |= {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}
    assert {name.rpartition(".")[2] for name in arrays} == values.keys()
    for name, array in arrays.items():
        if name != "lstm_1.bias":
            assert (array == values[name.rpartition(".")[2]]).all(), name


@pytest.mark.parametrize(
    ("kernel", "bound"),
    [
        # A window of 5 steps of 4 features, and 5 windows of 60 for each.
        ("glorot_uniform", (6 / (5 * 4 + 5 * 60)) ** 0.5),
        ("he_uniform", (6 / (5 * 4)) ** 0.5),
        ("lecun_uniform", (3 / (5 * 4)) ** 0.5),
    ],
)
def test_the_kernel_of_a_convolution_is_drawn_from_all_its_inputs(
    kernel: str, bound: float
) -> None:
    rnn = f"{{type: conv, filters: 60, kernel_size: 5}}, {LSTM}"
    model = rnnspec.build(spec(PLAIN, rnn, more=f"initializers: {{kernel: {kernel}}}"), "torch")
    largest = np.abs(rnnspec.read_weights(model)["conv_1.kernel"]).max()
    assert 0.98 * bound < largest <= bound


@cases("entrance, stack", [*product(("tokens", "fixed"), STACKS)])
def test_a_trace_has_inputs_as_the_reference_has_them(entrance: str, stack: str) -> None:
    one = pipeline.program(
        spec(
            INPUTS[entrance],
            STACKS[stack],
            f"head: {{pooling: [mean, {{attention: {{units: 2}}}}], {HIDDEN}, units: 2}}",
        )
    )
    network = one.network
    generated = pipeline.generate(one, get("torch"))
    model = pipeline.instantiate(generated, "float64", drawn=False)
    arrays = draw_scaled(network, 0)
    generated.store.write(model, arrays)
    batch = draw_input(network.input, np.random.default_rng(0), 14)
    trace = get("torch").runtime.trace(model, [layer.name for layer in network.layers], batch)
    truth = reference.outputs(network, reference.run(network, arrays, batch), batch)
    outputs = reference.outputs(network, trace, batch)
    names = {layer.name for layer in network.layers}
    assert {"batch_norm_1", "lstm_1", "attention_pooling_1"} & names <= trace.inputs.keys()
    for name, output in outputs.items():
        np.testing.assert_allclose(output, truth[name], rtol=0.0, atol=1e-12, err_msg=name)


def test_a_batch_with_too_few_steps_is_refused() -> None:
    model, _ = build(
        PLAIN, f"{{type: conv, filters: 2, kernel_size: 3}}, {{type: max_pool, size: 2}}, {LSTM}"
    )
    assert model(torch.ones(2, 4, 4, dtype=torch.float64)).shape == (2, 2)
    expected = r"expected \(batch, steps >= 4, 4\), received torch.Size\(\[2, 3, 4\]\)"
    with pytest.raises(ValueError, match=expected):
        model(torch.ones(2, 3, 4, dtype=torch.float64))


def test_the_mask_of_a_result_is_that_of_its_windows() -> None:
    rnn = f"{{type: conv, filters: 2, kernel_size: 3}}, {{type: max_pool, size: 2}}, {LSTM}"
    model, batch = build(TOKENS, rnn, "head: {pooling: none, units: 2}")
    mask = model.mask(batch)
    assert mask.shape == model(batch).shape[:2]
    # A window is real if its last step is: steps 3, 5, 7 and so on of the first convolution's.
    assert torch.equal(mask, batch[:, 3::2] != 0)


def test_a_name_in_the_source_is_refused() -> None:
    for name in ("batch_norm", "tied_linear", "running_sum"):
        with pytest.raises(SpecError, match=name):
            rnnspec.loads(f"version: 1\nname: {name}\n{PLAIN}\nrnn: {LSTM}\n")

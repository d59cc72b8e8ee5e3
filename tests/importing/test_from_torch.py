"""Live modules of PyTorch: the network computes what the module does, in float64."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import BACKENDS
from rnnspec.comparison.reference import result_shapes, run, split_outputs
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.assemble import ImportedModel, write_spec
from rnnspec.importing.imported import Imported
from rnnspec.models import foreign
from rnnspec.models.convert import convert

torch = pytest.importorskip("torch")
torch_modules = pytest.importorskip("importing.torch_modules")
traced = pytest.importorskip("importing.traced")
untraced = pytest.importorskip("importing.untraced")


PADDING_INDEX = "PyTorch masks nothing by it, and only keeps that vector from being trained"
ACCEPTED = torch_modules.read("accepted.txt")


def with_statistics(module: Any) -> Any:
    """Return a module in float64 whose norms are those of a trained one."""
    for part in module.double().modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.LayerNorm):
            for array in part.parameters():
                torch.nn.init.normal_(array)
        if isinstance(part, torch.nn.BatchNorm1d) and part.track_running_stats:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module


def results_of(found: Any) -> list[Any]:
    match found:
        case dict():
            return list(found.values())
        case tuple():
            return list(found)
        case _:
            return [found]


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_network_computes_what_the_module_does(name: str) -> None:
    torch.manual_seed(5)
    module, inputs = with_statistics(ACCEPTED[name].make()).train(), ACCEPTED[name].draw()
    found = rnnspec.from_torch(module, inputs)
    assert "equal on the example and random inputs (float64)" in found.compared
    assert rnnspec.from_torch(module).spec == found.spec
    with torch.no_grad():
        wanted = [each.numpy() for each in results_of(module.eval()(*inputs))]
    given = inputs[0].numpy()
    # Modules of signals take (batch, channels, steps).
    given = given.transpose(0, 2, 1) if name in ("DanQ", "channels first") else given
    network = pipeline.program(found.spec).network
    output = run(network, found.arrays, given).output
    parts = split_outputs(network, output, result_shapes(network, given))
    for layer, expected in zip(network.results.values(), wanted, strict=True):
        received = parts[layer.name].reshape(expected.shape)
        real = np.ones(expected.shape[:2], dtype=bool)
        if expected.ndim == 3 and len(inputs) == 2:  # the output at padding is unspecified
            real = np.arange(6) < inputs[1].numpy()[:, None]
        np.testing.assert_allclose(received[real], expected[real], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["packed both", "residuals", "policy"])
def test_what_is_built_of_the_spec_computes_it_too(name: str) -> None:
    module, inputs = ACCEPTED[name].make().double().eval(), ACCEPTED[name].draw()
    found = rnnspec.from_torch(module)
    built = rnnspec.build(found.spec, "torch").double().eval()
    rnnspec.write_weights(built, found.arrays)
    with torch.no_grad():
        both = results_of(built(inputs[0])), results_of(module(*inputs))
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [traced.sequential, traced.mode_changed])
def test_other_modules_are_taken(make: Any) -> None:
    # Each is compared with itself.
    rnnspec.from_torch(make())


@cases("zeros", traced.ZEROS)
def test_every_idiom_of_initial_zeros_is_taken(zeros: Any) -> None:
    module = traced.Tutorial(zeros)
    written = rnnspec.from_torch(module, torch.randn(4, 6, 3)).spec.document.text
    assert "rnn: {type: lstm, units: 5, layers: 2}\n" in written
    assert rnnspec.from_torch(module).spec.document.text == written


def test_a_pool_over_the_size_of_its_input_is_one_over_all_steps() -> None:
    # Each is compared with its module, too.
    texts = {
        name: rnnspec.from_torch(traced.reducing(pool), name="net").spec.document.text
        for name, pool in traced.OVER_TIME.items()
    }
    assert set(texts.values()) == {texts["adaptive"]}
    assert "head: {pooling: max, name: fc, units: 2}\n" in texts["adaptive"]


@cases(("function", "text"), traced.WRITTEN_OUT)
def test_what_is_written_out_is_a_layer(function: Any, text: str) -> None:
    # Each is compared with its module, too.
    module = traced.with_function(function)
    assert text in rnnspec.from_torch(module).spec.document.text
    for array in (module.gain, module.offset):
        torch.nn.init.normal_(array)
    assert text in rnnspec.from_torch(module).spec.document.text


@cases(("pool", "text"), traced.MASKED)
def test_masks_leave_out_padding(pool: Any, text: str) -> None:
    model = rnnspec.from_torch(traced.pooling(pool), torch_modules.padded_tokens()[0])
    assert "mask_zero: true" in model.spec.document.text
    assert text in model.spec.document.text
    end = "padding is token 0, skipped wherever it is; in the module it is at the end only"
    assert end in model.inferred
    assert "equal on the example and random inputs" in model.compared


@cases(("pool", "text"), traced.SELECTED)
def test_lengths_without_packing_leave_out_padding(pool: Any, text: str) -> None:
    model = rnnspec.from_torch(traced.selecting(pool), torch_modules.padded_tokens())
    assert "mask_zero: true" in model.spec.document.text
    assert text in model.spec.document.text
    assert model.inferred == ("padding is token 0; the module takes lengths",)
    assert "equal on the example and random inputs" in model.compared


def test_a_convolution_may_read_zeros_at_padding() -> None:
    module = traced.selecting(traced.behind_convolution)
    model = rnnspec.from_torch(module, torch_modules.padded_tokens())
    assert "{type: conv, name: conv, filters: 4, kernel_size: 3, padding: same}" in (
        model.spec.document.text
    )


@cases(("make", "text"), traced.PARTS)
def test_parts_of_tensors_are_taken(make: Any, text: str) -> None:
    # Each is compared with its module, too.
    assert text in rnnspec.from_torch(make()).spec.document.text


def test_lengths_may_be_counted() -> None:
    models = [rnnspec.from_torch(traced.counted(count)) for count in traced.COUNTS.values()]
    (text,) = {model.spec.document.text for model in models}
    assert "embedding: {name: emb, vocabulary: 9, dim: 4, mask_zero: true}\n" in text
    said = "padding is token 0; the module counts the other tokens of a sequence, and takes as many"
    assert {model.inferred for model in models} == {(f"{said} from its start",)}
    least = rnnspec.from_torch(traced.counted(lambda x: (x != 0).sum(1).clamp(min=1)))
    assert least.inferred[0] == ("a sequence of padding only has no step; in the module it has one")
    (example, _) = torch_modules.padded_tokens()
    module = traced.counted(traced.COUNTS["operator"])
    assert "the example and random inputs" in rnnspec.from_torch(module, example).compared
    # The spec leaves out padding anywhere, the module at the end of a sequence.
    with pytest.raises(ModelError, match=r"on the example, .* difference of .* \[E709\]"):
        rnnspec.from_torch(module, example.flip(1))


@cases(
    ("name", "given", "message"),
    [
        ("KeepsState", False, "on random features of .* the module keeps a state"),
        ("KeepsState", True, "on random features of .* the module keeps a state"),
        ("KeepsStateOfTwo", True, "on the example, .* the module keeps a state"),
        ("DropsAlways", False, "on random features of .* received a difference of"),
        ("DropsAlways", True, "on the example, .* received a difference of"),
    ],
)
def test_a_module_is_run_with_and_without_an_example(name: str, given: bool, message: str) -> None:
    torch.manual_seed(3)
    example = torch.randn(2, 5, 3) if given else None
    with pytest.raises(ModelError, match=rf"module: error: {message}.* \[E709\]$"):
        rnnspec.from_torch(getattr(untraced, name)(), example)


@cases("name", ["zeros", "of float32"])
def test_the_comparison_is_tight(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tampered(source: str, imported: Imported) -> ImportedModel:
        taken = write_spec(source, imported)
        return replace(taken, arrays={key: 1.0001 * array for key, array in taken.arrays.items()})

    torch.manual_seed(2)
    module = traced.Tutorial(traced.ZEROS[name])
    monkeypatch.setattr(foreign, "write_spec", tampered)
    with pytest.raises(ModelError, match=r"received a difference of .*e-0[56] \[E709\]"):
        rnnspec.from_torch(module)


def test_it_says_what_was_compared() -> None:
    module = traced.Tutorial(traced.ZEROS["zeros"])
    said = f"compared with the module in PyTorch {torch.__version__}: equal on "
    for example, where in ((None, ""), (torch.randn(2, 5, 3), "the example and ")):
        model = rnnspec.from_torch(module, example)
        assert model.compared == f"{said}{where}random inputs (float64)"
        assert model.compared in str(model)


def test_a_model_is_saved_as_convert_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = rnnspec.from_torch(traced.Tutorial(traced.ZEROS["zeros"]))
    monkeypatch.chdir(tmp_path)
    model.save("a.safetensors")
    Path("converted").mkdir()
    # Three are enough: starting another framework takes seconds.
    for path, backend in (("x.onnx", "onnx"), ("folder", "torch"), ("net.h", "c")):
        if not BACKENDS[backend].installed:
            continue
        model.save(path, None if backend == "torch" else backend)
        convert(Path("a.safetensors"), Path("converted", path))
    written = [path for path in Path("converted").rglob("*") if path.is_file()]
    assert written
    for file in written:
        assert file.read_bytes() == file.relative_to("converted").read_bytes(), file
    if BACKENDS["c"].installed:
        model.save("net.h", max_steps=30, force=True)
        assert "#define TUTORIAL_MAX_STEPS 30 " in Path("net.h").read_text()


def test_a_model_is_not_saved_anyhow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = rnnspec.from_torch(traced.Tutorial(traced.ZEROS["zeros"]))
    name, array = next(iter(model.arrays.items()))
    broken = replace(model, arrays={**model.arrays, name: array * np.nan})
    monkeypatch.chdir(tmp_path)
    Path("old.safetensors").write_text("kept")
    for taken, arguments, message in (
        (model, ("old.safetensors",), "already exists"),
        (model, ("x.pt",), r"x\.pt: error: expected NAME\.keras, .*NAME\.h"),
        (model, ("x.h", "torch"), "torch cannot write a single header; c can"),
        (model, (3,), "path: expected the path of a file, received 3"),
        (broken, ("x.safetensors",), f"{name}: expected finite numbers"),
    ):
        with pytest.raises(UsageError, match=message):
            taken.save(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["old.safetensors"]
    assert Path("old.safetensors").read_text() == "kept"
    model.save("old.safetensors", force=True)
    assert rnnspec.load("old.safetensors").name == model.spec.name


def test_advice_is_given_where_random_inputs_fail() -> None:
    module = traced.Tutorial(lambda _, x: x.new_zeros(2, 4, 5))
    with pytest.raises(UsageError, match=r"runs on random .* \(3, 7, 3\), .*; give .* as example="):
        rnnspec.from_torch(module)
    rnnspec.from_torch(module, torch.randn(4, 6, 3))


def test_nothing_of_the_module_changes() -> None:
    module = traced.Leaves().train()
    module.dropout.eval()
    module.kept.append(module.rnn(torch.randn(2, 5, 3))[0])
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    rnnspec.from_torch(module)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_default_dtype() == torch.float32
    assert [each.training for each in module.modules()] == [True, True, False]
    assert (module.calls, module.number.item(), len(module.kept)) == (0, 0, 1)
    assert not [name for name in vars(module) if "constant" in name]
    assert module.rnn.weight_ih_l0.dtype == torch.float32


def test_all_reasons_are_given_at_once() -> None:
    ran = list[str]()

    def forward(m: Any, x: Any) -> Any:
        y = m.back(m.rnn(m.conv(x))[0])[0]
        return y if y.sum() > 0 else m.fc(y)

    module = traced.Written(
        forward,
        conv=torch.nn.Conv2d(7, 7, 1),
        rnn=torch.nn.GRU(3, 4, batch_first=True),
        back=torch.nn.LSTM(4, 6, proj_size=2, batch_first=True),
    )
    module.conv.register_forward_hook(lambda *_: ran.append("hook"))
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with pytest.raises(ModelError) as caught:
            rnnspec.from_torch(module)
    finally:
        hook.remove()
    received = [
        (problem.where, problem.message.partition(";")[0][:40]) for problem in caught.value.problems
    ]
    assert received == [
        ("conv", "has a hook, whose code is not read"),
        ("module", "PyTorch has a hook for all modules, whic"),
        ("conv", "rnnspec does not support nn.Conv2d"),
        ("back", "proj_size: expected 0, received 2"),
        ("forward", "cannot be traced: expected no condition "),
    ]
    assert not ran

    shared = untraced.shared()
    shared.one.weight.data[0] = float("nan")
    shared.written = lambda m, x: torch.relu(m.fc(m.one(m.rnn(x)[0])) + 1)
    with pytest.raises(ModelError) as caught:
        rnnspec.from_torch(shared)
    assert [(problem.where, problem.code) for problem in caught.value.problems] == [
        ("add", "E704"),
        ("one.weight", "E708"),
        ("fc.weight", "E704"),
    ]


INTERNAL = re.compile(
    r"pydantic|validation error|\b(Known|Tensor|Pairs|CarriedStates|Argument|Unknown|Ref)\(|"
    r"(?<!System)(Key|Type|Attribute|Value|Index)Error|object at 0x|NoneType|<class"
)
"""What is about our own code, or another library's, in place of the module."""


MODULES = torch_modules.read("refused.txt") | {
    name: torch_modules.FromText(make, torch_modules.features, at, (said,))
    for name, (make, at, said) in untraced.REFUSED.items()
}


@cases("module", MODULES)
def test_what_the_language_lacks_is_refused_with_its_line(module: Any) -> None:
    with pytest.raises(ModelError) as caught:
        rnnspec.from_torch(module.make())
    assert module.told[0] in str(caught.value)
    assert not INTERNAL.search(str([problem.message for problem in caught.value.problems]))
    named = [problem for problem in caught.value.problems if problem.span]
    assert {Path(each.source).name for each in named} <= {"refused.txt", "untraced.py"}
    marked = [each.span.text[each.span.column - 1 :] for each in named if each.span]
    assert any(text.startswith(module.at) for text in marked) if module.at else not named


def test_an_example_makes_an_argument_an_input_and_is_compared() -> None:
    values, lengths = torch_modules.padded_features()
    found = rnnspec.from_torch(untraced.Optional(), (values, lengths))
    assert "mask_value: 0.0" in found.spec.document.text
    assert found.inferred == ("padding has zeros in every feature; the module takes lengths",)
    # Whatever its padding holds.
    other = rnnspec.from_torch(untraced.Optional(), (values + 1, lengths))
    assert other.spec.document.text == found.spec.document.text
    with pytest.raises(
        UsageError, match=r"expected the shape \(batch, steps, features\), received"
    ):
        rnnspec.from_torch(untraced.Optional(), (values[0], lengths))
    with pytest.raises(UsageError, match="expected a module that runs on the example, received"):
        rnnspec.from_torch(untraced.Optional(), (values, 0 * lengths))


def test_everything_is_accounted_for() -> None:
    module = traced.Written(
        lambda m, x: m.drop(m.rnn(m.emb(x))[0]),
        emb=torch.nn.Embedding(9, 3, padding_idx=2, sparse=True),
        rnn=torch.nn.GRU(3, 4),
        drop=torch.nn.Dropout(0.25),
        unused=torch.nn.BatchNorm1d(2, affine=False, track_running_stats=True),
    )
    module.rnn.bias_hh_l0.requires_grad_(False)
    found = rnnspec.from_torch(module, name="tagger")
    assert found.spec.name == "tagger"
    assert found.left_out == (
        "sparse of emb (acts in training only)",
        "requires_grad=False of rnn.bias_hh_l0 (acts in training only)",
        "unused.running_mean (not used by forward)",
        "unused.running_var (not used by forward)",
        "unused.num_batches_tracked (not used by forward)",
        f"padding_idx=2 ({PADDING_INDEX})",
    )
    assert found.inferred == (
        "the module takes (steps, batch), the spec (batch, steps)",
        "the module returns (steps, batch, features), the spec (batch, steps, features)",
    )


def test_a_dropout_gets_its_place() -> None:
    written = rnnspec.from_torch(ACCEPTED["classifier"].make()).spec.document.text
    assert "- {type: lstm, units: 5, dropout: 0.3, variational: false}\n" in written
    assert "head: {dropout: 0.5, name: fc, units: 3}\n" in written
    written = rnnspec.from_torch(ACCEPTED["residuals"].make()).spec.document.text
    assert "name: second\n  units: 4\n  dropout: 0.1\n  variational: false\n" in written
    assert "units: 8, activation: relu, dropout: 0.2}" in (
        rnnspec.from_torch(ACCEPTED["nested"].make()).spec.document.text
    )


def test_names_that_no_input_and_no_layer_can_have_are_told() -> None:
    class Named(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.input = torch.nn.LSTM(3, 4, batch_first=True)
            self.fc = torch.nn.Linear(6, 1)

        def forward(self, seq: Any, where: Any) -> Any:
            _, (h, _) = self.input(seq)
            return self.fc(torch.cat([h[-1], where], 1))

    found = rnnspec.from_torch(Named(), (torch.randn(2, 5, 3), torch.randn(2, 2)))
    assert "the input where is named where_input" in found.inferred
    assert "the layer input is named lstm_1" in found.inferred


def test_only_modules_are_taken() -> None:
    with pytest.raises(UsageError, match="expected a module of PyTorch, received 3"):
        rnnspec.from_torch(3)
    empty = torch.nn.Linear.__new__(torch.nn.Linear)
    with pytest.raises(UsageError, match=r"whose __init__ calls super\(\).__init__\(\), received"):
        rnnspec.from_torch(empty)


def test_source_for_inference_that_takes_integers_is_read() -> None:
    text = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
    namespace: dict[str, Any] = {}
    source = rnnspec.codegen(rnnspec.loads(text), "torch", form="inference")
    assert "x.is_floating_point()" in source
    exec(source, namespace)
    found = rnnspec.from_torch(namespace["Net"]())
    assert rnnspec.summary(found.spec) == rnnspec.summary(rnnspec.loads(text))

"""Live modules of PyTorch: those that rnnspec builds come back as their own specs."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from backends.test_torch_equations import CELLS, text_of
from importing.test_built import ALL, ATTENTION, HEADS, TIED
from offered import import_later

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, refusals
from rnnspec.errors import ModelError, UsageError, listed
from rnnspec.source.execute import execute
from rnnspec.weights.initial import draw_scaled
from rnnspec_random.draw import Texts

torch = import_later("torch")

MGU = text_of("""\
    states: [h]
    equations:
      f: sigmoid(W_f @ x + U_f @ h)
      h: (1 - f) * h + f * tanh(W @ x + U @ (f * h))
""")
STOCK = """\
version: 1
name: net
input: {features: 3}
rnn: [{type: lstm, units: 4, dropout: 0.2}, {type: gru, units: 4}, {type: layer_norm}]
head: {hidden: [{units: 4, dropout: 0.25}], units: 2}
"""


def is_taken_over(program: pipeline.Program, form: Any = None) -> None:
    """Assert that a model gives its spec and all of its arrays back."""
    generated = pipeline.generate(program, get("torch"), form)
    model = pipeline.instantiate(generated, drawn=False)
    drawn = draw_scaled(program.network, 1)
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    generated.store.write(model, arrays)
    found = rnnspec.from_torch(model)
    assert pipeline.program(found.spec).network == program.network
    assert found.compared.startswith("compared with the module in PyTorch"), found.compared
    assert (found.left_out, found.inferred) == ((), ())
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        assert found.arrays[name].tobytes() == array.tobytes()


def from_file(generated: pipeline.Generated) -> Any:
    """Return a model of generated source that has no spec, as a file of the source has none."""
    return getattr(execute(f"# A file\n{generated.text}", "net"), generated.entry)()


def test_every_kind_of_network(covering_spec: Path) -> None:
    is_taken_over(pipeline.read(covering_spec))


@pytest.mark.parametrize(
    "text",
    [
        *(text_of(cell, more=", bidirectional: true") for cell in CELLS.values()),
        text_of(CELLS["varied"], "length: 9, features: 3, mask_value: 0.0"),
        graphs.SETTINGS,
        graphs.GIVEN,
        graphs.STREAMED,
        graphs.TRANSLATION,
        ALL,
        HEADS,
        TIED,
        ATTENTION,
    ],
)
def test_whatever_its_cells_and_inputs_are(text: str) -> None:
    program = pipeline.reads(text)
    for form in ("training", "inference"):
        is_taken_over(program, form)


def test_of_random_specs() -> None:
    for text in dict.fromkeys(Texts(12, 5).all()):
        program = pipeline.reads(text)
        if not refusals(get("torch"), program.network):
            is_taken_over(program)


def trained(model: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.randn(4, 5, 3)).square().sum().backward()
    optimizer.step()
    return model


def loaded(model: Any) -> Any:
    other = rnnspec.build(rnnspec.loads(MGU), "torch", seed=2)
    model.load_state_dict(other.state_dict())
    return model


def frozen(model: Any) -> Any:
    model.history = [torch.zeros(3)]
    return model.eval().requires_grad_(requires_grad=False)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize(
    "change",
    [
        trained,
        loaded,
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        torch.nn.DataParallel,
        torch.compile,
        lambda model: model.double(),
        lambda model: model.bfloat16(),
        frozen,
    ],
)
def test_it_may_be_trained_loaded_copied_and_wrapped(change: Callable[[Any], Any]) -> None:
    spec = rnnspec.loads(MGU)
    model = rnnspec.build(spec, "torch", seed=1)
    before = rnnspec.read_weights(model)
    changed = change(model)
    now, found = rnnspec.read_weights(changed, spec), rnnspec.from_torch(changed, name="other")
    network = replace(pipeline.program(spec).network, name="other")
    assert pipeline.program(found.spec).network == network
    for name, array in now.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    moved = any(not np.array_equal(before[name], array) for name, array in now.items())
    assert moved == (change in (trained, loaded) or "bfloat16" in str(next(changed.parameters())))


def test_what_it_gives_is_saved_and_built_again(tmp_path: Path) -> None:
    model = trained(rnnspec.build(rnnspec.loads(MGU), "torch", seed=1))
    found = rnnspec.from_torch(model)
    found.save(tmp_path / "mgu.safetensors")
    again = rnnspec.build(rnnspec.load(tmp_path / "mgu.safetensors"), "torch")
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(again.eval()(x), model.eval()(x), rtol=0.0, atol=1e-6)


def put(model: Any, path: str, name: str, value: Any) -> None:
    setattr(model.get_submodule(path), name, value)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a layer is another": lambda m: put(m, "", "dense_1", torch.nn.Linear(4, 5)),
    "a layer has another class": lambda m: put(m, "", "dense_1", torch.nn.Bilinear(4, 4, 2)),
    "a layer is more": lambda m: put(m, "", "more", torch.nn.Linear(2, 2)),
    "a layer without arrays is more": lambda m: put(m, "", "more", torch.nn.ReLU()),
    "an array is more": lambda m: put(m, "", "scale", torch.nn.Parameter(torch.ones(2))),
    "a layer has another setting": lambda m: put(m, "layer_normalization_1", "eps", 0.5),
    "a layer has another mode": lambda m: put(m, "gru_1", "batch_first", False),
    "a forward is set": lambda m: put(m, "dense_1", "forward", lambda x: 2 * x),
    "the forward is set": lambda m: put(m, "", "forward", lambda x: 2 * x),
    "a hook": lambda m: m.dense_1.register_forward_hook(lambda *_: None),
    "a hook before": lambda m: m.register_forward_pre_hook(lambda *_: None),
    "an array is shared": lambda m: put(m, "dense_1", "weight", m.lstm_1.weight_ih_l0),
    "an array is made": lambda m: torch.nn.utils.parametrizations.weight_norm(m.dense_1),
}


def changed(text: str, change: Callable[[Any], Any]) -> Any:
    model = rnnspec.build(rnnspec.loads(text), "torch", seed=1)
    change(model)
    return model


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_not_its_spec(change: str) -> None:
    text = MGU.replace("rnn: [", "rnn: [{type: lstm, units: 4}, {type: gru, units: 4}, ")
    text = text.replace("]\nhead", ", {type: layer_norm}]\nhead").replace("units: 2", "units: 4")
    rnnspec.from_torch(changed(text, lambda _: None))
    with pytest.raises(ModelError) as caught:
        rnnspec.from_torch(changed(text, CHANGES[change]))
    (problem,) = {each.message for each in caught.value.problems}
    assert any(
        part in problem
        for part in (
            "expected the model of rnnspec.build as it was built",
            "hook",
            "its forward is",
        )
    )


def test_a_changed_model_of_stock_layers_is_read_as_it_is() -> None:
    other = changed(STOCK, lambda m: put(m, "", "dense_2", torch.nn.Linear(4, 5)))
    read = rnnspec.from_torch(other).spec
    assert (read.head and read.head.units) == 5
    text = rnnspec.from_torch(changed(STOCK, CHANGES["a layer has another setting"]))
    assert "epsilon: 0.5" in text.spec.document.text
    more = rnnspec.from_torch(changed(STOCK, CHANGES["an array is more"]))
    assert "scale (not used by forward)" in more.left_out


def test_a_method_of_its_class_or_a_hook_of_all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    model = rnnspec.build(rnnspec.loads(MGU), "torch", seed=1)
    kind = type(model.mgu_1)
    plain = kind.forward
    # Not what a few sequences would show.
    monkeypatch.setattr(kind, "forward", lambda m, x: plain(m, x) * (1 + (x.shape[1] > 99)))
    with pytest.raises(ModelError, match="classes are not read"):
        rnnspec.from_torch(model)
    monkeypatch.undo()
    rnnspec.from_torch(model)
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with pytest.raises(ModelError, match="PyTorch has a hook for all modules"):
            rnnspec.from_torch(model)
    finally:
        hook.remove()


def test_numbers_that_are_not_finite() -> None:
    model = changed(MGU, lambda m: m.mgu_2.U.data.fill_(float("nan")))
    with pytest.raises(ModelError, match=r"mgu_2\.U: expected finite numbers, received .* \[E708"):
        rnnspec.from_torch(model)


def test_a_copy_of_source_of_two_networks_has_no_spec() -> None:
    specs = [rnnspec.loads(STOCK.replace("0.25", rate)) for rate in ("0.3", "0.4")]
    models = [rnnspec.build(spec, "torch", seed=1, form="inference") for spec in specs]
    assert type(models[0]) is type(models[1])
    for spec, model in zip(specs, models, strict=True):
        assert rnnspec.from_torch(model).spec.head == spec.head
        assert "dropout" not in rnnspec.from_torch(copy.deepcopy(model)).spec.document.text
        with pytest.raises(UsageError, match=r"expected a model that rnnspec\.build made"):
            rnnspec.save(copy.deepcopy(model), "copy.safetensors")


def test_in_step_form_it_is_refused() -> None:
    for text in (STOCK, MGU):
        model = rnnspec.build(rnnspec.loads(text), "torch", form="step")
        with pytest.raises(UsageError, match="takes whole sequences, received one in step form; b"):
            rnnspec.from_torch(model)


NOT_READ = "a part of its source, whose classes are not read"


def test_classes_of_a_cell_in_another_module(tmp_path: Path, monkeypatch: Any) -> None:
    source = rnnspec.codegen(rnnspec.loads(MGU), "torch")
    Path(tmp_path, "written_mgu.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import written_mgu  # type: ignore[import-not-found]

    class Around(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    built = rnnspec.build(rnnspec.loads(MGU), "torch")
    for model in (
        written_mgu.Mgu(),
        Around(written_mgu.Mgu()),
        Around(written_mgu.MguLayer(3, 4, return_sequences=True)),
        Around(built),
        built.mgu_1,
    ):
        with pytest.raises(ModelError) as caught:
            rnnspec.from_torch(model)
        (problem,) = caught.value.problems
        assert f"{NOT_READ} (MguLayer); rnnspec.read_weights(model, spec)" in problem.message
        assert problem.where in (
            "mgu_1 and mgu_2",
            "inner.mgu_1 and inner.mgu_2",
            "inner",
            "module",
        )
    # What the message says.
    arrays = rnnspec.read_weights(written_mgu.Mgu(), rnnspec.loads(MGU))
    assert list(arrays) == list(rnnspec.read_weights(built))


MASKED = "version: 1\nname: net\nembedding: {vocabulary: 9, dim: 3, mask_zero: true}\n"
NUMBERS = "version: 1\nname: net\ninput: {features: 3}\n"
CLASSES = {
    "Masked": MASKED + "rnn: {type: gru, units: 4}\n",
    "BatchNorm": MASKED + "rnn: [{type: batch_norm}, {type: simple, units: 2}]\n",
    "StepwiseLSTM": NUMBERS + "rnn: {type: lstm, units: 4, activation: softplus}\n",
    "StepwiseResetFirstGRU": NUMBERS + "rnn: {type: gru, units: 4, reset_after: false}\n",
    "StepwiseRNN": NUMBERS + "rnn: {type: simple, units: 4, activation: softplus}\n",
}


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("name", CLASSES)
def test_classes_around_layers(name: str, form: Any) -> None:
    """They are told by what their docstrings say."""
    generated = pipeline.generate(pipeline.reads(CLASSES[name]), get("torch"), form)
    model = from_file(generated)
    own = {
        type(part).__name__
        for part in model.modules()
        if type(part).__module__ == type(model).__module__ and part is not model
        # That is read like the layer that it is derived from.
        if not isinstance(part, torch.nn.RNNBase)
    }
    assert any(kind.startswith(name) for kind in own) == (
        (name, form) != ("BatchNorm", "inference")
    )
    classes = re.escape(listed(sorted(own)))
    with pytest.raises(ModelError, match=rf"{NOT_READ} \({classes}\); .* \[E704\]"):
        rnnspec.from_torch(model)


def test_a_subclass_of_a_recurrent_layer_without_a_forward_is_that_layer() -> None:
    class Own(torch.nn.LSTM):  # type: ignore[misc, name-defined]
        def reset_parameters(self) -> None:
            for array in self.parameters():
                torch.nn.init.uniform_(array, -0.5, 0.5)

    class Other(Own):
        def forward(self, x: Any, hx: Any = None) -> Any:
            return super().forward(x, hx)

    class Called(Own):
        def __call__(self, x: Any) -> Any:
            return super().__call__(2 * x)

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, rnn: Any) -> None:
            super().__init__()
            self.rnn = rnn

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0]

    read = rnnspec.from_torch(Net(Own(3, 4, batch_first=True)))
    assert "rnn: {type: lstm, name: rnn, units: 4}\n" in read.spec.document.text
    for kind in (Other, Called):
        with pytest.raises(ModelError, match=f"{kind.__name__} is a subclass of a layer, whose"):
            rnnspec.from_torch(Net(kind(3, 4, batch_first=True)))
    normed = torch.nn.utils.parametrizations.weight_norm(Own(3, 4), "weight_hh_l0")
    with pytest.raises(ModelError, match="ParametrizedOwn is a subclass of a layer, whose own"):
        rnnspec.from_torch(Net(normed))


def test_source_of_stock_layers_is_read_without_its_spec() -> None:
    spec = rnnspec.loads(STOCK)
    for form in ("training", "inference"):
        generated = pipeline.generate(pipeline.program(spec), get("torch"), form)
        model = from_file(generated)
        found = rnnspec.from_torch(model)
        assert rnnspec.summary(found.spec).parameters == rnnspec.summary(spec).parameters
        assert "equal on random inputs (float64)" in found.compared, form

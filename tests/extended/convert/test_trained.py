"""A trained model, converted in one command, computes and trains as before."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert.conftest import TEXT

import rnnspec
from rnnspec.comparison.levels import distance

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Run = Callable[..., Any]
PLAIN = TEXT.replace(", dropout: 0.25", "")
RATE = 0.1


def batches(seed: int, count: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [
        (
            rng.integers(0, 9, (8, 6)).astype(np.int32),
            rng.standard_normal((8, 2)).astype(np.float32),
        )
        for _ in range(count)
    ]


def train_keras(model: Any, seed: int, count: int) -> list[float]:
    keras = pytest.importorskip("keras")
    model.compile(keras.optimizers.SGD(RATE), "mse")
    return [float(model.train_on_batch(x, y)) for x, y in batches(seed, count)]


def train_torch(model: Any, seed: int, count: int) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    losses = []
    for x, y in batches(seed, count):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model.train()(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def load_torch(folder: str) -> Any:
    from safetensors.torch import load_file

    spec = importlib.util.spec_from_file_location("moved_module", Path(folder) / "moved.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Moved()
    model.load_state_dict(load_file(Path(folder) / "moved.safetensors"))
    return model


def load_keras(path: str) -> Any:
    return pytest.importorskip("keras").saving.load_model(path)


def outputs(model: Any, x: Any) -> Any:
    if hasattr(model, "predict_on_batch"):
        return model.predict_on_batch(x)
    torch = pytest.importorskip("torch")
    return model.eval()(torch.from_numpy(x)).detach().numpy()


def same_from_here_on(keras_model: Any, torch_model: Any) -> None:
    """Assert that both compute the same, now and after 20 steps of SGD on the same batches."""
    for x, _ in batches(7, 3):
        assert distance(outputs(torch_model, x), outputs(keras_model, x)) < 1e-6
    losses = train_keras(keras_model, 8, 20), train_torch(torch_model, 8, 20)
    assert distance(*map(np.array, losses)) < 1e-3
    assert abs(losses[0][0] - losses[0][-1]) > 1e-3
    spec = rnnspec.loads(PLAIN)
    one, other = (rnnspec.read_weights(each, spec) for each in (keras_model, torch_model))
    for name, array in one.items():
        assert distance(other[name], array) < 1e-3, name


@pytest.fixture
def spec() -> str:
    """The path of the spec in the current folder."""
    Path("moved.yaml").write_text(PLAIN)
    return "moved.yaml"


def test_from_keras_to_pytorch(run: Run, spec: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    run("build", spec, "-b", "keras", "-o", "trained.keras", "--seed", 1)
    model = load_keras("trained.keras")
    train_keras(model, 5, 10)
    model.save("trained.keras")
    ran = run("convert", "trained.keras", "out", "--spec", spec)
    assert (ran.code, ran.err) == (0, "")
    assert "not carried over: optimizer, loss and metrics (acts in training only)\n" in ran.out
    same_from_here_on(model, load_torch("out"))


def test_from_pytorch_to_keras(run: Run, spec: str) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    run("build", spec, "-b", "torch", "-o", "trained", "--seed", 1)
    model = load_torch("trained")
    train_torch(model, 5, 10)
    save_file(model.state_dict(), "trained/moved.safetensors")
    ran = run("convert", "trained", "out.keras", "--spec", spec)
    assert (ran.code, ran.err) == (0, "")
    same_from_here_on(load_keras("out.keras"), model)


def test_a_keras_file_that_was_loaded_trained_and_saved_again(run: Run, spec: str) -> None:
    pytest.importorskip("keras")
    run("build", spec, "-b", "keras", "-o", "trained.keras")
    for _ in range(2):
        model = load_keras("trained.keras")
        model.compile("adam", "mse", metrics=["mae"])
        x, y = batches(1, 1)[0]
        model.fit(x, y, epochs=2, verbose=0)
        model.save("trained.keras")
    ran = run("convert", "trained.keras", "out.safetensors", "--spec", spec)
    assert (ran.code, ran.err) == (0, "")

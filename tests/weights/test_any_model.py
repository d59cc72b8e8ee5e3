"""Weights of models that were made by another process, a copy or a wrapper."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cases import cases
from offered import require

import rnnspec
from rnnspec.backends import BACKENDS
from rnnspec.errors import UsageError, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.backends.slots import Array

    Arrays = dict[str, Array]

TEXT = """\
version: 1
name: any_model
embedding: {vocabulary: 7, dim: 3, mask_zero: true}
rnn:
  - {type: lstm, units: 4, layers: 2}
  - {type: gru, units: 3, bidirectional: true}
head: {units: 2}
"""
pytestmark = [
    pytest.mark.needs(TEXT),
    # Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
SPEC = rnnspec.loads(TEXT)


def arrays_like(arrays: Arrays, seed: int = 4) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(array.shape).astype(array.dtype) for name, array in arrays.items()
    }


def same(one: Arrays, other: Arrays) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def moves(model: Any) -> None:
    """Assert that arrays can be written and read with the spec alone."""
    with pytest.raises(UsageError, match="or its spec as well"):
        rnnspec.read_weights(object())
    written = arrays_like(rnnspec.read_weights(model, SPEC))
    rnnspec.write_weights(model, written, SPEC)
    same(rnnspec.read_weights(model, SPEC), written)


@pytest.fixture
def model(backend: str) -> Any:
    require(backend, SPEC)
    return rnnspec.build(SPEC, backend, seed=1)


@pytest.fixture
def torch_model() -> Any:
    pytest.importorskip("torch")
    return rnnspec.build(SPEC, "torch", seed=1)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))]
)
def test_a_copy(model: Any, duplicate: Callable[[Any], Any]) -> None:
    before = rnnspec.read_weights(model)
    twin = duplicate(model)
    same(rnnspec.read_weights(twin, SPEC), before)
    moves(twin)
    same(rnnspec.read_weights(model), before)


def written_class(folder: Path) -> Any:
    """Return the class in the source that is written for PyTorch."""
    path = folder / "written.py"
    path.write_text(rnnspec.codegen(SPEC, "torch"))
    spec = importlib.util.spec_from_file_location("written_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AnyModel


def test_an_instance_of_the_written_class(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    made = written_class(tmp_path)()
    with pytest.raises(UsageError, match="or its spec as well"):
        rnnspec.read_weights(made)
    moves(made)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_the_callers_gradient_mode_changes_nothing(
    tmp_path: Path, torch_model: Any, mode: str
) -> None:
    torch = pytest.importorskip("torch")
    with getattr(torch, mode)():
        # Its parameters are inference tensors; those of a model from build never are.
        module, built = written_class(tmp_path)(), rnnspec.build(SPEC, "torch", seed=1)
        rnnspec.parity(SPEC, ["torch"])
        rnnspec.write_weights(torch_model, arrays_like(rnnspec.read_weights(built)))
    assert not any(parameter.is_inference() for parameter in built.parameters())
    moves(module)
    moves(built)


FRESH = """\
import keras, numpy as np, rnnspec
model = keras.models.load_model({path!r})
spec = rnnspec.load({spec!r})
arrays = rnnspec.read_weights(model, spec)
np.savez({out!r}, **arrays)
rnnspec.write_weights(model, {{name: 2.0 * array for name, array in arrays.items()}}, spec)
again = rnnspec.read_weights(model, spec)
assert all((again[name] == 2.0 * arrays[name]).all() for name in arrays)
"""


def test_a_keras_file_in_a_fresh_process(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    made = rnnspec.build(SPEC, "keras", seed=1)
    path, spec, out = (str(tmp_path / name) for name in ("m.keras", "s.yaml", "out.npz"))
    made.save(path)
    Path(spec).write_text(TEXT)
    code = FRESH.format(path=path, spec=spec, out=out)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)
    with np.load(out) as found:
        same(dict(found), rnnspec.read_weights(made))


def compiled(made: Any) -> Any:
    return pytest.importorskip("torch").compile(made, backend="eager")


def in_parallel(made: Any) -> Any:
    return pytest.importorskip("torch").nn.DataParallel(made)


@pytest.fixture
def _one_process(tmp_path: Path) -> Iterator[None]:
    dist = pytest.importorskip("torch.distributed")
    place = f"file://{tmp_path / 'rendezvous'}"
    dist.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
def test_distributed(torch_model: Any) -> None:
    from torch.nn.parallel import DistributedDataParallel

    before = rnnspec.read_weights(torch_model)
    wrapped = DistributedDataParallel(torch_model)
    for each in (wrapped, compiled(wrapped), DistributedDataParallel(compiled(torch_model))):
        same(rnnspec.read_weights(each), before)
        same(rnnspec.read_weights(each, SPEC), before)
    moves(wrapped)


@pytest.mark.parametrize("wrap", [compiled, in_parallel, lambda made: compiled(in_parallel(made))])
def test_a_wrapped_model(torch_model: Any, wrap: Callable[[Any], Any]) -> None:
    before = rnnspec.read_weights(torch_model)
    wrapped = wrap(torch_model)
    same(rnnspec.read_weights(wrapped), before)
    same(rnnspec.read_weights(wrapped, SPEC), before)
    moves(wrapped)
    name = "dense_1.kernel"
    assert not np.array_equal(rnnspec.read_weights(torch_model)[name], before[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtype_and_device_stay(torch_model: Any, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    torch_model.to(getattr(torch, dtype))
    rnnspec.write_weights(torch_model, rnnspec.read_weights(torch_model), SPEC)
    assert {parameter.dtype for parameter in torch_model.parameters()} == {getattr(torch, dtype)}
    assert {parameter.device.type for parameter in torch_model.parameters()} == {"cpu"}


LAYOUTS: list[Callable[[Any], Any]] = [
    lambda array: array.astype(array.dtype.newbyteorder()),
    np.asfortranarray,
    lambda array: np.flip(np.flip(array).copy()),
    lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
]


@cases("layout", LAYOUTS)
def test_any_byte_order_and_memory_layout(model: Any, layout: Callable[[Any], Any]) -> None:
    written = arrays_like(rnnspec.read_weights(model))
    rnnspec.write_weights(model, {name: layout(each) for name, each in written.items()}, SPEC)
    same(rnnspec.read_weights(model, SPEC), written)


OTHER = TEXT.replace("units: 3, bid", "units: 5, bid").replace("head: {", "head: {name: final, ")


def test_another_structure_is_one_error(model: Any, backend: str) -> None:
    before = rnnspec.read_weights(model)
    written = arrays_like(before)
    for act in (rnnspec.read_weights, partial(rnnspec.write_weights, arrays=written)):
        with pytest.raises(UsageError) as caught:
            act(model, spec=rnnspec.loads(OTHER))
        message = str(caught.value)
        assert message.startswith("rnnspec: error: the model has another structure: ")
        for part in (
            "bidirectional_1.forward.kernel: expected the shape ",
            "missing: final.kernel (at final.",
            "unexpected: ",
            "dense_1",
        ):
            assert part in message
        assert "\n" not in message
    same(rnnspec.read_weights(model), before)


def test_an_unexpected_array_is_refused(torch_model: Any) -> None:
    torch = pytest.importorskip("torch")
    before = rnnspec.read_weights(torch_model)
    torch_model.extra = torch.nn.Linear(2, 3)
    with pytest.raises(UsageError, match=r"structure: unexpected: extra\.weight of \(3, 2\); "):
        rnnspec.write_weights(torch_model, arrays_like(before), SPEC)
    del torch_model.extra
    same(rnnspec.read_weights(torch_model), before)


def test_a_model_of_no_framework_is_refused() -> None:
    titles = listed([backend.title for backend in BACKENDS.values()], "or")
    with pytest.raises(UsageError, match=f"expected a model of {titles}, received 'model'"):
        rnnspec.read_weights("model", SPEC)

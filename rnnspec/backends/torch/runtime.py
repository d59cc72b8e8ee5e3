"""PyTorch itself: live modules with their counts, arrays and files."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rnnspec.backends.contract import Held, Trace
from rnnspec.backends.kept import FRAMEWORK_KEY
from rnnspec.backends.torch import optimizers
from rnnspec.backends.torch.plan import direction_key, stack_of
from rnnspec.backends.torch.slots import module
from rnnspec.files.arrays import sort_metadata
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from _typeshed import ReadableBuffer as Buffer

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, Step
    from rnnspec.ir.nodes import Layer
    from rnnspec.slots import Array


def version() -> str:
    """Return PyTorch's version."""
    return f"PyTorch {torch.__version__}"


def instantiate(
    module: ModuleType,
    entry: str,
    dtype: str,
    *,
    drawn: bool,  # noqa: ARG001 - drawing takes little
) -> nn.Module:
    """Return an instance of the generated class ``entry``, in ``dtype``."""
    # Otherwise a model that is built in inference mode could never be trained or compared.
    with torch.inference_mode(mode=False):
        model: nn.Module = getattr(module, entry)()
        return model.to(getattr(torch, dtype))


def layer_count(model: nn.Module, layer: Layer) -> int:
    """Return the parameter count of one layer, 0 for a layer without a module."""
    held = dict(model.named_children()).get(module(layer))
    if held is None:
        return 0
    parameters = dict(held.named_parameters())
    if stack := stack_of(layer):
        # One module holds the arrays of all its layers: weight_ih_l0, weight_hh_l1_reverse.
        own = re.compile(rf"_l{stack.index}(_reverse)?$")
        parameters = {name: p for name, p in parameters.items() if own.search(name)}
    return sum(p.numel() for p in parameters.values())


def layer_type(model: nn.Module, layer: Layer) -> str:
    """Return the name of PyTorch's class of one layer, empty if the source has no such module."""
    held = dict(model.named_children()).get(module(layer))
    kind = type(_first(held)) if held else type
    # A class of the source itself, such as Masked, says nothing to someone who has not read it.
    return kind.__name__ if kind.__module__.startswith("torch.") else ""


def _first(held: nn.Module) -> nn.Module:
    """Return the module that gets a layer's input, the forward one if there are two."""
    return held[direction_key("forward.")] if isinstance(held, nn.ModuleDict) else held


def counts(model: nn.Module) -> Counts:
    """Return the parameter counts of the whole model according to PyTorch."""
    return Counts(
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        non_trainable=sum(p.numel() for p in model.parameters() if not p.requires_grad),
    )


def unwrap(model: Any) -> nn.Module | None:
    """Return a module without ``DistributedDataParallel`` and ``torch.compile`` around it."""
    # A loop, because a compiled module can be inside a parallel one, and the reverse.
    while isinstance(model, nn.Module):
        # Set by torch.compile. Source: https://github.com/pytorch/pytorch/issues/101107.
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner
    return None


def held(model: nn.Module, layer: str, path: str) -> Held:
    """Return the dtype and shape of one array."""
    try:
        parameter = model.get_parameter(f"{layer}.{path}")
    except AttributeError as error:
        raise LookupError(str(error)) from error
    dtype = "" if parameter.is_meta else str(parameter.dtype).removeprefix("torch.")
    return Held(dtype, tuple(parameter.shape))


def others(model: nn.Module, known: Collection[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all entries of the state dict that are not at a known (layer, path)."""
    names = {f"{layer}.{path}" for layer, path in known}
    # The second bias of a SingleBias class is a buffer that is not persistent, so not listed here.
    state = model.state_dict(keep_vars=True)
    return {name: tuple(each.shape) for name, each in state.items() if name not in names}


def get(model: nn.Module, layer: str, path: str) -> Array:
    """Return a copy of one array."""
    # NumPy has no bfloat16, and every bfloat16 is a float32.
    kept = model.get_parameter(f"{layer}.{path}").detach().cpu()
    return (kept.float() if kept.dtype == torch.bfloat16 else kept).numpy().copy()


def put(model: nn.Module, layer: str, path: str, array: Array) -> None:
    """Replace one array, keeping its dtype and device."""
    parameter = model.get_parameter(f"{layer}.{path}")
    # A parameter made in inference mode can be changed only there.
    with torch.inference_mode(mode=parameter.is_inference()), torch.no_grad():
        # A copy: from_numpy refuses negative strides, and warns about read-only arrays.
        parameter.copy_(torch.from_numpy(array.copy()))


def trace(model: nn.Module, layers: Sequence[str], inputs: Array) -> Trace:
    """Run one forward pass in inference, and record the input of each layer with a module."""
    entered: dict[str, Array] = {}
    children = dict(model.named_children())
    hooks = [
        _first(children[name]).register_forward_pre_hook(_note(entered, name))
        for name in layers
        if name in children
    ]
    try:
        with torch.no_grad(), _mode(model, training=False):
            output = model(_input(model, inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return Trace(entered, output.numpy())


def step(
    model: nn.Module, chunk: Array, states: Mapping[str, Array] | None
) -> tuple[Array, dict[str, Array]]:
    """Return the output for the steps so far, and the new states, by name."""
    given = {name: torch.from_numpy(state) for name, state in states.items()} if states else None
    with torch.no_grad(), _mode(model, training=False):
        output, after = model(_input(model, chunk), given)
    return output.numpy(), {name: state.numpy() for name, state in after.items()}


def _note(entered: dict[str, Array], name: str) -> Callable[[nn.Module, Any], None]:
    def note(_: nn.Module, arguments: Any) -> None:
        entered[name] = arguments[0].numpy()

    return note


def learner(model: nn.Module, keys: Sequence[tuple[str, str]], *, training: bool) -> Learner:
    """Return a function that computes the loss and its gradients for the parameters at ``keys``."""
    parameters = [model.get_parameter(f"{layer}.{path}") for layer, path in keys]

    def run(inputs: Array, target: Array, weight: Array) -> tuple[float, list[Array]]:
        # Also where the caller has turned gradients off.
        with _mode(model, training=training), torch.inference_mode(mode=False), torch.enable_grad():
            output = model(_input(model, inputs))
            goal, share = (torch.tensor(each).to(output) for each in (target, weight))
            loss = (share * (output - goal) ** 2).sum() / 2
            gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return float(loss.detach()), [gradient.numpy(force=True) for gradient in gradients]

    return run


def own_steps(
    model: nn.Module,
    keys: Sequence[tuple[str, str]],
    *,
    training: bool,
    summed: bool,  # noqa: ARG001 - gradients of a dense embedding always are
) -> Callable[[Optimizer], Step]:
    """Return a function that returns the step of one of PyTorch's own optimizers."""
    parameters = [model.get_parameter(f"{layer}.{path}") for layer, path in keys]
    return partial(optimizers.own_step, parameters, learner(model, keys, training=training))


def _input(model: nn.Module, inputs: Array) -> torch.Tensor:
    tensor = torch.from_numpy(inputs)
    dtype = next(model.parameters()).dtype
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    before, threads = model.training, torch.get_num_threads()
    model.train(training)
    # Next to the threads of TensorFlow, one thread of PyTorch is many times faster than several.
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        model.train(before)


def save(model: nn.Module, folder: Path, name: str, source: str, spec: str) -> None:
    """Write ``NAME.py`` and ``NAME.safetensors``, its state dict with the spec in the metadata."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8", newline="\n")
    # safetensors refuses others. Source: https://github.com/safetensors/safetensors/pull/17.
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    metadata = {"rnnspec": spec, FRAMEWORK_KEY: "torch"}
    path = folder / f"{name}.safetensors"
    save_file(state, path, metadata=metadata)
    sort_metadata(path)


def reload(folder: Path, name: str, entry: str) -> nn.Module:
    """Return an instance of ``entry`` in ``NAME.py``, with the state dict in ``NAME.safetensors``.

    The module does not stay imported.
    """
    # Not import_module, which would find another module of this name that is imported already.
    loader = _UncachedLoader(name, str(folder / f"{name}.py"))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    model: nn.Module = getattr(module, entry)()
    model.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return model


class _UncachedLoader(SourceFileLoader):
    """A loader that leaves no ``__pycache__`` beside the source."""

    def set_data(self, path: str, data: Buffer, *, _mode: int = 0o666) -> None:
        """Write nothing."""

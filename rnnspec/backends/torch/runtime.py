"""PyTorch itself: live modules with their counts, arrays and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rnnspec.backends.contract import ArrayType, Runtime, Trace, least_exact
from rnnspec.backends.model_files import load_entry, write_by_name
from rnnspec.backends.slots import by_name
from rnnspec.backends.torch.backend import TORCH
from rnnspec.backends.torch.plan import stack_of
from rnnspec.backends.torch.slots import attribute
from rnnspec.ir.nodes import learned_of
from rnnspec.ir.params import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from rnnspec.backends.contract import Learner
    from rnnspec.backends.optimizers import Optimizer, OptimizerStep
    from rnnspec.backends.slots import Array, Batch
    from rnnspec.ir.nodes import Layer
    from rnnspec.source.code import Source


class TorchRuntime(Runtime):
    """PyTorch itself."""

    def version(self) -> str:
        """Return PyTorch's version."""
        return f"PyTorch {torch.__version__}"

    def instantiate(
        self,
        module: ModuleType,
        source: Source,
        dtype: str,
        *,
        drawn: bool,  # noqa: ARG002 - drawing takes little
    ) -> nn.Module:
        """Return an instance of the generated class, in ``dtype``."""
        # Otherwise a model that is built in inference mode could never be trained or compared.
        with torch.inference_mode(mode=False):
            model: nn.Module = getattr(module, source.entry)()
            return model.to(getattr(torch, dtype))

    def layer_count(self, model: nn.Module, layer: Layer) -> int:
        """Return the parameter count of one layer, 0 for a layer without a module."""
        children = dict(model.named_children())
        child = children.get(attribute(layer))
        if child is None:
            return 0
        vectors = (children[vector.name].parameters() for vector in learned_of(layer))
        beside = sum(array.numel() for (array,) in vectors)
        arrays = dict(child.named_parameters()) | _moving_arrays(child)
        if (stack := stack_of(layer)) and stack.size > 1:
            # One module holds the arrays of all its layers: weight_ih_l0, weight_hh_l1_reverse.
            of_layer = re.compile(rf"_l{stack.index}(_reverse)?$")
            arrays = {name: array for name, array in arrays.items() if of_layer.search(name)}
        return beside + sum(array.numel() for array in arrays.values())

    def layer_type(self, model: nn.Module, layer: Layer) -> str:
        """Return the name of PyTorch's class of a layer, empty if the source has no such module."""
        child = dict(model.named_children()).get(attribute(layer))
        kind = type(_first_part(child)) if child else type
        # A class of the source itself, such as Masked, says nothing to someone who has not read it.
        return kind.__name__ if kind.__module__.startswith("torch.") else ""

    def counts(self, model: nn.Module) -> Counts:
        """Return the parameter counts of the whole model according to PyTorch."""
        frozen = [p for p in model.parameters() if not p.requires_grad]
        return Counts(
            trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
            non_trainable=sum(a.numel() for a in (*frozen, *_moving_arrays(model).values())),
        )

    def precision(self, model: nn.Module) -> str:
        """Return the least exact dtype of the arrays of a model."""
        arrays = (*model.parameters(), *model.buffers())
        return least_exact(str(array.dtype).removeprefix("torch.") for array in arrays)

    def unwrap(self, model: Any) -> nn.Module | None:
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

    def array_type(self, model: nn.Module, layer: str, path: str) -> ArrayType:
        """Return the dtype and shape of one array."""
        try:
            array = _array(model, f"{layer}.{path}")
        except AttributeError as error:
            raise LookupError(str(error)) from error
        dtype = "" if array.is_meta else str(array.dtype).removeprefix("torch.")
        return ArrayType(dtype, tuple(array.shape))

    def other_shapes(
        self, model: nn.Module, known: Collection[tuple[str, str]]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all entries of the state dict that are not at known places."""
        names = {f"{layer}.{path}" for layer, path in known}
        # Not the second bias of a SingleBias class, a buffer that is not persistent.
        state = _state(model)
        return {name: tuple(array.shape) for name, array in state.items() if name not in names}

    def get(self, model: nn.Module, layer: str, path: str) -> Array:
        """Return a copy of one array."""
        return _numpy(_array(model, f"{layer}.{path}")).copy()

    def put(self, model: nn.Module, layer: str, path: str, array: Array) -> None:
        """Replace one array, keeping its dtype and device."""
        tensor = _array(model, f"{layer}.{path}")
        # One that was made in inference mode can be changed only there.
        with torch.inference_mode(mode=tensor.is_inference()), torch.no_grad():
            # A copy: from_numpy refuses negative strides, and warns about read-only arrays.
            tensor.copy_(torch.from_numpy(array.copy()))

    def trace(self, model: nn.Module, layers: Sequence[str], inputs: Batch) -> Trace:
        """Run one forward pass in inference, and record the inputs of layers with a module."""
        inputs_of: dict[str, Array] = {}
        modules, attribute = dict(model.named_children()), TORCH.reserved_names.attribute
        children = {name: modules[own] for name in layers if (own := attribute(name)) in modules}
        channeled = {name for name, child in children.items() if _is_channeled(child)}
        # What the others get has the steps of their padding, or its layout depends on those beside.
        unknown = (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d, *((nn.Dropout,) if channeled else ()))

        def note(name: str, _module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            x = arguments[0]
            x = x.transpose(1, 2) if name in channeled and x.ndim > 2 else x
            # Others may share an embedding.
            inputs_of.setdefault(name, _numpy(x))

        hooks = [
            _first_part(child).register_forward_pre_hook(partial(note, name))
            for name, child in children.items()
            if not isinstance(child, unknown)
        ]
        try:
            with torch.no_grad(), _mode(model, training=False):
                output = _join(_call(model, inputs))
        finally:
            for hook in hooks:
                hook.remove()
        return Trace(inputs_of, _numpy(output))

    def begin(self, model: nn.Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the states before the first chunk, by name."""
        begin: Callable[..., dict[str, torch.Tensor]] = getattr(model, "begin")  # noqa: B009
        with torch.no_grad(), _mode(model, training=False):
            states = begin(**_arguments(model, inputs))
        return {name: _numpy(state) for name, state in states.items()}

    def step(
        self, model: nn.Module, chunk: Batch, states: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output for the steps so far, and the new states, by name."""
        before = {name: _input(model, state) for name, state in (states or {}).items()}
        with torch.no_grad(), _mode(model, training=False):
            chunks = [_input(model, array) for array in by_name(chunk).values()]
            output, after = model(*chunks, before or None)
        return _numpy(_join(output)), {name: _numpy(state) for name, state in after.items()}

    def learner(
        self, model: nn.Module, keys: Sequence[tuple[str, str]], *, training: bool
    ) -> Learner:
        """Return a function that computes the loss and the gradients of the arrays at ``keys``."""
        parameters = [model.get_parameter(f"{layer}.{path}") for layer, path in keys]

        def run(inputs: Batch, target: Array, weight: Array) -> tuple[float, list[Array]]:
            # Also where the caller has turned gradients off.
            with (
                _mode(model, training=training),
                torch.inference_mode(mode=False),
                torch.enable_grad(),
            ):
                output = _join(_call(model, inputs))
                goal, share = (torch.tensor(values).to(output) for values in (target, weight))
                loss = (share * (output - goal) ** 2).sum() / 2
                gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
            return float(loss.detach()), [gradient.numpy(force=True) for gradient in gradients]

        return run

    def own_steps(
        self,
        model: nn.Module,
        keys: Sequence[tuple[str, str]],
        *,
        training: bool,
        summed: bool,  # noqa: ARG002 - gradients of a dense embedding always are
    ) -> Callable[[Optimizer], OptimizerStep]:
        """Return a function that returns the step of one of PyTorch's own optimizers."""
        parameters = [model.get_parameter(f"{layer}.{path}") for layer, path in keys]
        learn = self.learner(model, keys, training=training)

        def make_step(settings: Optimizer) -> OptimizerStep:
            optimizer = _make_optimizer(settings, parameters)

            def step(inputs: Batch, target: Array, weight: Array) -> float:
                loss, gradients = learn(inputs, target, weight)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = torch.from_numpy(gradient)
                optimizer.step()
                optimizer.zero_grad()
                return loss

            return step

        return make_step

    def save(self, model: nn.Module, folder: Path, name: str, source: str, spec: str) -> None:
        """Write ``NAME.py`` and ``NAME.safetensors``, its state dict with the spec as metadata."""
        # safetensors refuses others. Source: https://github.com/safetensors/safetensors/pull/17.
        state = {key: array.detach().contiguous() for key, array in _state(model).items()}
        write_by_name(folder, name, source, spec, "torch", partial(save_file, state))

    def reload(self, folder: Path, name: str, source: Source) -> nn.Module:
        """Return an instance of the generated class with the state dict in ``NAME.safetensors``."""
        model: nn.Module = load_entry(folder, name, source.entry)()
        model.load_state_dict(load_file(folder / f"{name}.safetensors"))
        return model


def _join(output: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the only output, or named ones as (batch, all of their numbers)."""
    if isinstance(output, torch.Tensor):
        return output
    return torch.cat([part.flatten(1) for part in output.values()], 1)


def _first_part(module: nn.Module) -> nn.Module:
    """Return the module that gets a layer's input, the forward or hidden one if there are two."""
    return next(iter(module.values())) if isinstance(module, nn.ModuleDict) else module


def _is_channeled(module: nn.Module) -> bool:
    """True if a module gets a sequence as (batch, features, steps)."""
    classes = nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d, nn.Dropout1d
    return isinstance(module, classes) or bool(_moving_arrays(module))


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict without the counters of stock batch norms, which change nothing."""
    state = model.state_dict(keep_vars=True)
    return {key: array for key, array in state.items() if not key.endswith("num_batches_tracked")}


_MOVING = ("running_mean", "running_var")


def _moving_arrays(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the moving arrays of batch norms."""
    return {key: array for key, array in module.named_buffers() if key.endswith(_MOVING)}


def _array(model: nn.Module, path: str) -> torch.Tensor:
    """Return a parameter, or a moving array of a batch norm.

    Raises:
        AttributeError: the model has no such array.
    """
    # Not any buffer: the second bias of a SingleBias class is one.
    return model.get_buffer(path) if path.endswith(_MOVING) else model.get_parameter(path)


def _call(model: nn.Module, inputs: Batch) -> Any:
    """Return the output of a model for its only input, or for inputs by name."""
    if isinstance(inputs, Mapping):
        return model(**_arguments(model, inputs))
    return model(_input(model, inputs))


def _arguments(model: nn.Module, inputs: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Return inputs by the names of their parameters."""
    parameter = TORCH.reserved_names.parameter
    return {parameter(name): _input(model, array) for name, array in inputs.items()}


def _input(model: nn.Module, inputs: Array) -> torch.Tensor:
    tensor = torch.from_numpy(inputs)
    # A network of cells without parameters computes in the dtype of its input.
    array = next(model.parameters(), tensor)
    return tensor.to(array if tensor.is_floating_point() else array.device)


def _numpy(tensor: torch.Tensor) -> Array:
    # NumPy has no bfloat16, and every bfloat16 is a float32.
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)


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


def _make_optimizer(
    settings: Optimizer, parameters: Sequence[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    betas = settings.beta_1, settings.beta_2
    match settings.name:
        case "SGD":
            return torch.optim.SGD(parameters, lr=settings.rate)
        case "Adam":
            return torch.optim.Adam(parameters, lr=settings.rate, betas=betas, eps=settings.epsilon)
        case "AdamW":
            return torch.optim.AdamW(
                parameters,
                lr=settings.rate,
                betas=betas,
                eps=settings.epsilon,
                weight_decay=settings.decay,
            )
        case _:
            assert_never(settings.name)


RUNTIME = TorchRuntime()

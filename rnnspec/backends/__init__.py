"""The registry of backends: which there are, and what each of them offers.

A framework is imported only when its runtime is needed.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from inspect import Parameter, cleandoc, signature
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, cast

from rnnspec.backends.base import Backend
from rnnspec.backends.c.backend import C
from rnnspec.backends.contract import DEFAULTS
from rnnspec.backends.jax.backend import JAX
from rnnspec.backends.keras.backend import KERAS
from rnnspec.backends.needs import FILES, MODEL, SOURCE, Need
from rnnspec.backends.needs import form as writing
from rnnspec.backends.onnx.backend import ONNX
from rnnspec.backends.torch.backend import TORCH
from rnnspec.errors import BackendError, Refusal, UsageError, listed
from rnnspec.errors.arguments import one_of
from rnnspec.ir.forms import FORMS, Form, for_inference, for_steps, step_refusals
from rnnspec.version import place_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rnnspec.backends.contract import Option, SourceOptions
    from rnnspec.ir.nodes import Network
    from rnnspec.words import ReservedNames

_Function = TypeVar("_Function", bound="Callable[..., Any]")

__all__ = [
    "BACKENDS",
    "Backend",
    "Need",
    "choose",
    "declared_options",
    "describe_option",
    "document_options",
    "form_named",
    "forms",
    "get",
    "having",
    "honouring",
    "in_form",
    "lack",
    "names",
    "option_needs",
    "options_in",
    "refusals",
    "reserved_names",
    "source_options",
    "ways",
]

# The order matters: on the PyTorch engine of Keras, a Keras model is also a torch.nn.Module, and
# the first backend that recognises a live model gets it.
BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (KERAS, TORCH, JAX, ONNX, C)}


ADVICE = {
    "use 'keras', which runs on TensorFlow": "tensorflow tensorflow2 tf tf.keras tf2 tf_keras",
    "use 'keras'": "h5 keras2 keras3",
    "use 'torch'": "libtorch lightning pt pytorch pytorch_lightning torch.nn torchscript",
    "use 'jax', whose layers are those of Flax": "equinox flax haiku linen nnx",
    "use 'onnx'": "onnx_runtime onnxrt onnxruntime ort",
    "use 'c'": "arduino c++ c89 c99 clang cpp gcc h",
    "use 'keras' and TensorFlow's converter, or 'c' for microcontrollers": "litert lite tflite",
    "use 'onnx', which it reads": "coreml openvino tensorrt tfjs triton trt",
}


def get(name: str, *needs: Need) -> Backend:
    """Return the backend named ``name``.

    Raises:
        UsageError: no backend has that name, or it lacks one of ``needs``.
    """
    backend = BACKENDS[one_of("backend", name, BACKENDS, ADVICE)]
    if message := lack(backend, *needs):
        raise UsageError(message)
    return backend


def choose(name: str | None, *needs: Need) -> Backend:
    """Return the backend named ``name``, or without a name the only one installed.

    A backend that lacks one of ``needs`` does not count. One that runs a program of the machine,
    such as ``c``, counts only if no other can: a machine has a compiler for other reasons.

    Raises:
        UsageError: no backend has that name, it lacks one of ``needs``, or none is named where
            several are installed, or where none is and none is needed.
        BackendError: none of several backends is installed, and one is needed.
    """
    if name is not None:
        return get(name, *needs)
    able = having(*needs)
    if not able:
        raise UsageError(f"no backend can {listed([need.words for need in needs])}")
    packaged = [backend for backend in able if backend.command is None] or able
    installed = [backend for backend in packaged if backend.installed]
    if len(installed or packaged) == 1:
        return (installed or packaged)[0]
    if installed:
        choice = listed([backend.name for backend in able if backend.installed], "or")
        raise UsageError(f"several backends are installed; choose one with --backend {choice}")
    if not {MODEL, FILES} & set(needs):
        choice = listed([backend.name for backend in able], "or")
        raise UsageError(
            f"no backend is installed, and none is needed: choose one with --backend {choice}"
        )
    compiled = [f"--backend {backend.name}" for backend in able if backend.installed]
    raise BackendError(f"no backend is installed: {ways(packaged, *compiled)}")


def ways(absent: Sequence[Backend], *others: str) -> str:
    """Return the ways to get one of several backends, or to do without."""
    extras = [backend.way for backend in absent if backend.extra]
    rest = [backend.way for backend in absent if not backend.extra]
    packaged = [place_commands(listed(extras, "or"))] if extras else []
    return listed([*packaged, *rest, *others], "or")


def names(last: str = "and") -> str:
    """Return the names of all backends: ``a, b and c``."""
    return listed(tuple(BACKENDS), last)


def reserved_names() -> tuple[ReservedNames, ...]:
    """Return the names that the backends use, which no network or no layer can have."""
    return tuple(backend.reserved_names for backend in BACKENDS.values())


def forms() -> list[Form]:
    """Return the forms of source that any backend writes."""
    return [form for form in FORMS if having(writing(form))]


def form_named(name: str | None) -> Form | None:
    """Return the form of source named ``name``, or None without a name.

    Raises:
        UsageError: no backend writes a form of that name.
    """
    return None if name is None else cast("Form", one_of("form", name, forms()))


def declared_options(command: str = "") -> dict[str, Option]:
    """Return the options that any backend declares, or those of a command, by their names."""
    options = [option for backend in BACKENDS.values() for option in backend.options]
    return {option.name: option for option in options if command in ("", *option.commands)}


def source_options(function: str, keywords: Mapping[str, object]) -> SourceOptions:
    """Return the options among the keyword arguments of a public function of a name.

    Raises:
        TypeError: no backend declares an argument.
    """
    known = declared_options("codegen")
    for name in keywords:
        if name not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
    return {name: value for name, value in keywords.items() if value is not None}


def describe_option(option: Option) -> str:
    """Return the help of an option after the backends that have it: ``Of c: ...``."""
    able = [backend.name for backend in BACKENDS.values() if backend.option(option.name)]
    return f"Of {listed(able)}: {option.help}."


def document_options(function: _Function) -> _Function:
    """Document each option of source of a public function, for ``help`` and completion.

    They stand in place of ``options`` in its signature and its docstring.
    """
    options, written = declared_options("codegen").values(), signature(function)
    parameters = [p for p in written.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    for option in options:
        kind = f"{option.kind.__name__} | None"
        parameter = Parameter(option.name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        parameters.append(parameter)
        function.__annotations__[option.name] = kind
    function.__annotations__.pop("options")
    function.__signature__ = written.replace(parameters=parameters)  # type: ignore[attr-defined]
    lines = "".join(f"    {option.name}: {describe_option(option)}\n" for option in options)
    entry = re.compile(r"^    options: .*\n(?: {8}.*\n)*", re.MULTILINE)
    function.__doc__ = entry.sub(lambda _: lines, cleandoc(function.__doc__ or ""))
    return function


def option_needs(options: SourceOptions) -> tuple[Need, ...]:
    """Return the needs of options that any backend declares.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    declared = declared_options()
    return tuple(_option_need(declared[name], value) for name, value in options.items())


def _option_need(option: Option, value: object) -> Need:
    option.check(value)
    words = option.words.format(value)
    return Need(words, lambda backend: backend.option(option.name) is not None)


def options_in(output: Path) -> SourceOptions:
    """Return the options that the ending of an output asks for, unless it is a folder."""
    if os.path.isdir(output):  # noqa: PTH112 - Path.is_dir raises if a name is too long
        return DEFAULTS
    suffixes = {name: option.suffix for name, option in declared_options().items()}
    return {name: True for name, suffix in suffixes.items() if suffix and suffix == output.suffix}


def having(*needs: Need) -> list[Backend]:
    """Return the backends that have all of ``needs``."""
    return [backend for backend in BACKENDS.values() if all(need.met(backend) for need in needs)]


def honouring(network: Network) -> list[Backend]:
    """Return the backends that write source and refuse nothing in a network."""
    return [
        backend
        for backend in having(SOURCE)
        if not _own_refusals(backend, network, backend.form(None))
    ]


def lack(backend: Backend, *needs: Need) -> str:
    """Return a message about the first need that ``backend`` lacks, or an empty string."""
    for need in needs:
        if not need.met(backend):
            able = listed([backend.name for backend in having(need)]) or "no backend"
            limit = ", ".join(filter(None, (need.words, need.limit(backend))))
            return f"{backend.name} cannot {limit}; {able} can"
    return ""


def in_form(network: Network, form: Form) -> Network:
    """Return the part of a network that acts in a form of source."""
    match form:
        case "training":
            return network
        case "inference":
            return for_inference(network)
        case "step":
            return for_steps(for_inference(network))
        case _:
            assert_never(form)


def refusals(backend: Backend, network: Network, form: Form | None = None) -> tuple[Refusal, ...]:
    """Return every setting that ``backend`` cannot honour in a form, with the backends that can."""
    own = _own_refusals(backend, network, backend.form(form))
    if not own:
        return ()
    able = tuple(
        other.name
        for other in having(SOURCE if form is None else writing(form))
        if other is not backend and not _own_refusals(other, network, other.form(form))
    )
    return tuple(replace(refusal, alternatives=able) for refusal in own)


def _own_refusals(backend: Backend, network: Network, form: Form) -> tuple[Refusal, ...]:
    shared = step_refusals(network) if form == "step" else ()
    # Without a step form, some of its layers have no output of any number of steps.
    form = "inference" if shared else form
    arranged, emitter = in_form(network, form), backend.emitter
    reason = f"rnnspec writes no source of it for {backend.title}"
    ignored = (
        Refusal(node.name, field, reason)
        for node in (arranged, *arranged.layers)
        for table in emitter.fields(arranged, node, form)
        for field in table.missing(node)
    )
    return (*shared, *ignored, *emitter.refusals(arranged, form))

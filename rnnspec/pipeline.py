"""The pipeline: read, lower, generate, instantiate.

Each function imports its stages when it runs, so checking a spec needs neither templates nor
NumPy, and no framework is imported before ``instantiate``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rnnspec.backends import (
    document_options,
    form_named,
    get,
    in_form,
    lack,
    needs,
    option_needs,
    refusals,
    reserved_names,
    source_options,
)
from rnnspec.backends.contract import DEFAULTS, SourceOptions
from rnnspec.errors import (
    GenerationError,
    Problem,
    SpecError,
    UnsupportedError,
    UsageError,
    few,
)
from rnnspec.errors.arguments import check_flag, path_from, received
from rnnspec.ir.params import counts
from rnnspec.ir.verify import verify
from rnnspec.lowering import array_places, lower
from rnnspec.spec import load as reading
from rnnspec.spec.models import Spec
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnspec.backends import Backend
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.source import code
    from rnnspec.weights.store import Store

    Source = Spec | str | os.PathLike[str]
    """A spec argument: the path of a YAML or canonical file, or the result of ``load``."""


@dataclass(frozen=True, slots=True)
class Program:
    """A spec and its network, with all defaults resolved and all shapes known."""

    spec: Spec
    network: Network

    @property
    def source(self) -> str:
        """The path of the spec, as shown in errors."""
        return self.spec.document.source

    @property
    def named_files(self) -> list[tuple[Path, str]]:
        """The files that the spec names, each with its key for messages."""
        folder = Path(self.source).parent
        return [
            (folder / name, f"{'.'.join((*path, key))} of {self.source}")
            for path, embedding in self.spec.embeddings
            for key in ("weights", "words")
            if (name := getattr(embedding, key))
        ]


@dataclass(frozen=True, slots=True)
class Generated:
    """The generated source of a network for one backend.

    ``text`` is the ``source``, laid out by its template. ``network`` is that of the ``program``,
    arranged as in the source, with its stacks marked.
    """

    program: Program
    backend: Backend
    form: Form
    network: Network
    text: str
    source: code.Source
    options: SourceOptions = field(default_factory=dict)

    @property
    def longest(self) -> int | None:
        """The number of steps that the options limit a sequence to."""
        return self.backend.emitter.longest(self.options)

    @property
    def entry(self) -> str:
        """The class or function to call."""
        return self.source.entry

    @property
    def before_loading(self) -> tuple[str, ...]:
        """Lines of Python to run before a saved model is loaded."""
        return self.source.before_loading

    @property
    def store(self) -> Store:
        """Access to the canonical arrays of models from this source."""
        from rnnspec.weights.store import Store

        return Store(self.backend, self.network, array_places(self.program.spec))


def read(
    path: str | os.PathLike[str],
    *,
    overrides: Mapping[str, Any] = reading.AS_WRITTEN,
    allow_outside: bool = False,
) -> Program:
    """Return the spec in a YAML file with its network; see ``load``."""
    return _check_draft(
        reading.load(path, taken=reserved_names(), overrides=overrides, allow_outside=allow_outside)
    )


def reads(
    text: str | bytes,
    source: str = "<string>",
    *,
    overrides: Mapping[str, Any] = reading.AS_WRITTEN,
    allow_outside: bool = False,
) -> Program:
    """Return the spec in a YAML text with its network; see ``loads`` and ``load``."""
    return _check_draft(
        reading.loads(
            text,
            source,
            taken=reserved_names(),
            overrides=overrides,
            allow_outside=allow_outside,
        )
    )


def program(spec: Source) -> Program:
    """Return a spec with its network, from a path or from the result of ``load``.

    Raises:
        SpecError: the spec is invalid.
        UsageError: ``spec`` is neither of these, or the file cannot be read.
    """
    match spec:
        case Spec():
            return Program(spec, verify(lower(spec)))
        case str() | os.PathLike():
            return read(path_from(spec))
        case _:
            expected = "a spec (a path or the result of rnnspec.load)"
            raise UsageError(f"expected {expected}, received {received(spec)}")


def load(
    path: str | os.PathLike[str],
    overrides: Mapping[str, Any] = reading.AS_WRITTEN,
    *,
    allow_outside: bool = False,
) -> Spec:
    """Return the spec in a YAML file, fully checked, including ``expect``.

    ``overrides`` are values of keys by their paths, such as ``{"rnn.0.units": 64}``; None removes a
    key. The spec is checked with them, and keeps them as its text. ``expect`` is about the network
    as the file says it, so with overrides it only counts if one of them sets it.

    Files of vectors and words named in the spec must be inside its folder, unless
    ``allow_outside`` is true.

    Raises:
        SpecError: the spec is invalid; the error has every problem with its location.
        UsageError: ``path`` is not a path, the file cannot be read, or an override is about no key
            of it.
    """
    source = path_from(path)
    check_flag("allow_outside", allow_outside)
    _check_text("overrides", overrides, Mapping)
    for name in overrides:
        _check_text("overrides: a key", name, str)
    return read(source, overrides=overrides, allow_outside=allow_outside).spec


def loads(
    text: str | bytes | Mapping[str, Any],
    source: str = "<string>",
    *,
    allow_outside: bool = False,
) -> Spec:
    """Return the spec in a YAML text, or in a mapping of its keys, such as a parsed JSON document.

    ``source`` is its path in errors; relative paths in the spec are relative to its folder.

    Raises:
        SpecError: the spec is invalid; the error has every problem with its location.
        UsageError: an argument has another type.
    """
    _check_text("text", text, str, bytes, Mapping)
    _check_text("source", source, str)
    check_flag("allow_outside", allow_outside)
    if isinstance(text, Mapping):
        # Imported here because nothing else writes YAML.
        from rnnspec.spec.write import dump

        text = dump(dict(text))
    return reads(text, source, allow_outside=allow_outside).spec


@document_options
def codegen(
    spec: Source,
    backend: str,
    *,
    form: str | None = None,
    **options: str | int | None,
) -> str:
    """Return source that builds the network in ``backend`` without rnnspec.

    The same spec gives the same bytes. No framework is needed.

    Args:
        spec: a path or the result of ``load``.
        backend: the name of a backend, such as ``keras`` or ``torch``.
        form: ``training``, ``inference`` for source to deploy, without dropout and initial
            weights, or ``step`` for such source that takes a sequence in chunks, with the states
            of all layers as inputs and outputs. By default the first form that the backend writes.
        options: the options of source that the backend has. ``c`` has ``target``, the kind of
            processor, ``weights``, where its arrays are, and ``max_steps``, the longest sequence
            of a network that takes any length.

    Raises:
        SpecError: the spec is invalid.
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: the backend is unknown or generates no source of this form, ``spec`` is neither
            a path nor a spec, or the file cannot be read.
    """
    source, asked = form_named(form), source_options("codegen", options)
    return generate(program(spec), get(backend, *needs.source(source)), source, asked).text


def generate(
    program: Program,
    backend: Backend,
    form: Form | None = None,
    options: SourceOptions = DEFAULTS,
) -> Generated:
    """Return the source of a network for a backend, in a form that it writes.

    Without ``form``, it is the first form of the backend.

    Raises:
        GenerationError: the source uses a name that it neither defines nor imports.
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: the backend generates no source, or not in this form or with these options.
    """
    from rnnspec.source.closed import undefined_names
    from rnnspec.source.render import render

    network = arrange(program, backend, form, options)
    form = backend.form(form)
    source = backend.emitter.emit(network, form, options)
    text = render(source, backend.templates)
    if names := undefined_names(text, backend.ending):
        message = f"source for {backend.title} uses what it does not define: {few(names)}"
        raise GenerationError(message, program.source)
    return Generated(program, backend, form, network, text, source, options)


def arrange(
    program: Program,
    backend: Backend,
    form: Form | None = None,
    options: SourceOptions = DEFAULTS,
) -> Network:
    """Return the network as it is arranged in the source for a backend.

    Raises:
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: the backend generates no source, or not in this form or with these options.
    """
    # First, because a backend that writes no source has no emitter to ask for refusals.
    if missing := lack(backend, *needs.source(form)):
        raise UsageError(missing)
    form = backend.form(form)
    if refused := refusals(backend, program.network, form):
        raise UnsupportedError(program.source, backend.name, refused)
    network = backend.emitter.arrange(in_form(program.network, form), form)
    for name, value in options.items():
        option = backend.option(name)
        if option is None:
            raise UsageError(f"{name}: {lack(backend, *option_needs(options))}")
        option.check(value)
        if refusal := option.refusal(network, form, value):
            raise UsageError(f"{name}: {refusal}")
    return network


def forms_of(program: Program, backend: Backend) -> list[Form]:
    """Return the forms in which a backend can write a network, or its first one if it refuses all.

    A live model or a file of the backend can have the structure of any of them.
    """
    forms = backend.forms
    able = [form for form in forms if not refusals(backend, program.network, form)]
    return able or list(forms[:1])


def instantiate(generated: Generated, dtype: str = "float32", *, drawn: bool = True) -> Any:
    """Return a live model from generated source, in ``float32`` or ``float64``.

    Unless its initial weights have to be ``drawn``, the caller replaces every array of it.
    """
    from rnnspec.source.execute import execute

    # First, because the source imports the framework too, with whatever that logs.
    runtime = generated.backend.runtime
    module = execute(generated.text, generated.network.name, generated.backend.ending)
    model = runtime.instantiate(module, generated.source, dtype, drawn=drawn)
    # This model, and its copies, can then be read and saved without the spec.
    _MODELS[model] = generated
    # Source to deploy may be that of several networks, with other dropout: then nobody knows whose
    # a copy is.
    before = _MODULES.get(module.__name__, generated)
    same = before is not None and before.program.network == generated.program.network
    _MODULES[module.__name__] = generated if same else None
    return model


_MODELS: WeakKeyDictionary[Any, Generated] = WeakKeyDictionary()
_MODULES: dict[str, Generated | None] = {}


def origin(model: Any) -> Generated | None:
    """Return the source of a model, or None if ``rnnspec.build`` did not make it in this process.

    A copy of a model is found by the module of its class.
    """
    try:
        generated = _MODELS.get(model)
    except TypeError:  # it allows no weak reference, so it is not a model
        generated = None
    return generated or _MODULES.get(str(type(model).__module__))


def _check_text(name: str, value: object, *types: type) -> None:
    if not isinstance(value, types):
        expected = " or ".join(kind.__name__ for kind in types)
        raise UsageError(f"{name}: expected {expected}, received {received(value)}")


def _check_draft(draft: reading.SpecDraft) -> Program:
    """Return the spec of ``draft`` with its network, after checking its ``expect``."""
    if draft.spec is None:
        raise SpecError(in_file_order(draft.problems))
    # A draft can have a spec and problems, if the rules object to it: lowering may find more.
    try:
        network = lower(draft.spec)
    except SpecError as error:
        raise SpecError(in_file_order((*draft.problems, *error.problems))) from None
    broken = tuple[Problem, ...]()
    # A layer that cannot be tied has arrays of its own here, which nobody asked for.
    if all(problem.code != "E422" for problem in draft.problems):
        broken = tuple(_broken_promises(draft.spec, counts(network).total))
    if problems := (*draft.problems, *broken):
        raise SpecError(in_file_order(problems))
    return Program(draft.spec, verify(network))


def _broken_promises(spec: Spec, total: int) -> Iterator[Problem]:
    exact, most = spec.expect.parameters, spec.expect.max_parameters
    if exact is not None and total != exact:
        message = f"expected {exact:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "parameters"), message, code="E501")
    if most is not None and total > most:
        message = f"expected at most {most:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "max_parameters"), message, code="E502")

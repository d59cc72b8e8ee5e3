"""The pipeline: read, lower, generate, build. Each stage makes its product once and hands it on.

Each function imports the stages it runs when it runs them: checking a spec needs neither
templates nor NumPy, and nothing here imports a framework before ``build``.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec import lowering
from rnnspec.arguments import check_flag, path_from, received, seed_from
from rnnspec.backends import get, honouring, lack, refusals
from rnnspec.backends.needs import MODEL, SOURCE
from rnnspec.errors import Problem, SpecError, UnsupportedError, UsageError
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name
from rnnspec.ir.verify import verify
from rnnspec.shown import html_of, text_of
from rnnspec.spec import load as reading
from rnnspec.spec.models import Spec
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rnnspec.backends import Backend
    from rnnspec.ir.nodes import Network
    from rnnspec.vectors.table import Vectors
    from rnnspec.weights.store import Store

    Source = Spec | str | os.PathLike[str]
    """A spec argument: the path of a YAML file, or what ``load`` returned."""


@dataclass(frozen=True, slots=True)
class Program:
    """A spec and the network it describes: every default resolved, every shape known."""

    spec: Spec
    network: Network

    @property
    def source(self) -> str:
        """The path of the spec, as errors name it."""
        return self.spec.document.source


@dataclass(frozen=True, slots=True)
class Generated:
    """The source of a network on one backend: its text, and the class or function to call.

    ``network`` is laid out as the source has it, its stacks marked. ``before_loading`` are lines of
    Python that this model needs before a file of it is loaded.
    """

    backend: Backend
    network: Network
    text: str
    entry: str
    before_loading: tuple[str, ...]

    @property
    def store(self) -> Store:
        """Access to the canonical arrays of its models."""
        from rnnspec.weights.store import Store

        return Store(self.backend, self.network)


def read(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Program:
    """Return the spec in a YAML file with its network; see ``load``."""
    return _checked(reading.load(path, allow_outside=allow_outside))


def reads(text: str | bytes, source: str = "<string>", *, allow_outside: bool = False) -> Program:
    """Return the spec in a YAML text with its network; see ``loads``."""
    return _checked(reading.loads(text, source, allow_outside=allow_outside))


def program(spec: Source) -> Program:
    """Return a spec with its network: read from a file, or lowered from what ``load`` returned.

    Raises:
        SpecError: the spec is wrong.
        UsageError: ``spec`` is neither, or the file cannot be read.
    """
    match spec:
        case Spec():
            return _lowered(spec)
        case str() | os.PathLike():
            return read(path_from(spec))
        case _:
            wanted = "a spec (a path, or what rnnspec.load returned)"
            raise UsageError(f"expected {wanted}, received {received(spec)}")


def load(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Spec:
    """Return the spec in a YAML file, checked as a whole, its ``expect`` too.

    The files of vectors and words that it names lie inside its folder, or anywhere with
    ``allow_outside``.

    Raises:
        SpecError: it is wrong; every problem found, with its place.
        UsageError: ``path`` is none, or the file cannot be read.
    """
    source = path_from(path)
    check_flag("allow_outside", allow_outside)
    return read(source, allow_outside=allow_outside).spec


def loads(text: str | bytes, source: str = "<string>", *, allow_outside: bool = False) -> Spec:
    """Return the spec in a YAML text; ``source`` names it in errors, and says where its folder is.

    Raises:
        SpecError: it is wrong; every problem found, with its place.
        UsageError: an argument is of another type.
    """
    _check_text("text", text, str, bytes)
    _check_text("source", source, str)
    check_flag("allow_outside", allow_outside)
    return reads(text, source, allow_outside=allow_outside).spec


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a summary; the output shape's first axis, the batch, is ``None``."""

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The layers and parameter counts of a network, computed from its spec.

    ``stepwise`` has, by backend, the layers that no fused layer of it computes, which the source
    therefore runs step by step, and the word that asks for it.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: Counts
    stepwise: dict[str, dict[str, str]]

    def __str__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain data, as ``rnnspec summary --json`` prints it.

        ``stepwise`` is there where some layer is run step by step.
        """
        rows = [
            {**asdict(layer), "output_shape": list(layer.output_shape)} for layer in self.layers
        ]
        return {
            "name": self.name,
            "layers": rows,
            "parameters": self.parameters.as_dict(),
            **({"stepwise": self.stepwise} if self.stepwise else {}),
        }


def summary(spec: Source) -> Summary:
    """Return layers, output shapes and numbers of parameters; no framework is needed.

    Raises:
        SpecError: the spec is wrong.
        UsageError: ``spec`` is none, or the file cannot be read.
    """
    return summarize(program(spec).network)


def summarize(network: Network) -> Summary:
    """Return the summary of a network."""
    rows = tuple(
        LayerSummary(layer.name, type_name(layer), (None, *layer.output), count(layer))
        for layer in network.layers
    )
    stepwise = {each.name: each.emitter.stepwise(network) for each in honouring(network)}
    return Summary(
        network.name, rows, counts(network), {name: s for name, s in stepwise.items() if s}
    )


def codegen(spec: Source, backend: str) -> str:
    """Return Python source that makes the network in ``backend``, without rnnspec.

    The same spec gives the same bytes. No framework is needed.

    Raises:
        SpecError: the spec is wrong.
        UnsupportedError: the backend cannot honour a word of it.
        UsageError: there is no such backend, it writes no source, ``spec`` is neither a path nor a
            spec, or the file cannot be read.
    """
    return generate(program(spec), get(backend, SOURCE)).text


def build(spec: Source, backend: str, *, seed: int | None = None) -> Any:
    """Return a live model: a ``keras.Model`` or a ``torch.nn.Module``, in float32.

    It is the module that ``codegen`` prints, executed. Tokens go in as (batch, steps) whole
    numbers, numbers as (batch, steps, features). Where the spec names pretrained vectors, their
    rows replace the drawn ones.

    Args:
        spec: a path, or what ``load`` returned.
        backend: the name of one, such as ``keras`` or ``torch``.
        seed: draw the weights in NumPy, the same bits on every backend; without it the
            framework draws them, from the same distributions, or NumPy if the backend's source
            draws none.

    Raises:
        SpecError: the spec, or a file of vectors or words that it names, is wrong.
        UnsupportedError: the backend cannot honour a word of it.
        UsageError: there is no such backend, it builds no models, ``spec`` or ``seed`` is not
            valid, or a file cannot be read.
        BackendError: the backend is not installed or too old.
    """
    given, chosen = program(spec), get(backend, SOURCE, MODEL)
    number = None if seed is None else seed_from(seed)
    chosen.require()
    vectors = pretrained(given)
    return assemble(generate(given, chosen), vectors, seed=number)


def pretrained(
    program: Program, progress: Callable[[int, int], None] = lambda *_: None
) -> Vectors | None:
    """Return the pretrained vectors that a spec names, read, or None where it names none.

    Args:
        program: the spec, whose paths are relative to its folder, and its network.
        progress: called now and then with the bytes read so far, and with those there are.

    Raises:
        SpecError: a file of vectors or words is wrong.
        UsageError: one cannot be read.
    """
    spec = program.spec
    if spec.embedding is None or spec.embedding.weights is None:
        return None
    from rnnspec.vectors.read import read_vectors

    folder = Path(program.source).parent
    return read_vectors(program.network, folder, progress, allow_outside=spec.allow_outside)


def assemble(generated: Generated, vectors: Vectors | None, *, seed: int | None = None) -> Any:
    """Return a live model with ``vectors`` in it, as ``build`` does."""
    model = instantiate(generated)
    if seed is not None or "training" not in generated.backend.forms:
        from rnnspec.weights.initial import draw_fresh

        generated.store.write(model, draw_fresh(generated.network, seed))
    if vectors is not None:
        from rnnspec.vectors.read import write_vectors

        write_vectors(generated.store, model, vectors)
    return model


def generate(program: Program, backend: Backend) -> Generated:
    """Return the source of a network on a backend.

    Raises:
        UnsupportedError: the backend cannot honour a word of the spec.
        UsageError: the backend writes no source.
    """
    from rnnspec.source.render import render

    network = arranged(program, backend)
    source = backend.emitter.emit(network)
    text = render(source, backend.templates)
    return Generated(backend, network, text, source.entry, source.before_loading)


def arranged(program: Program, backend: Backend) -> Network:
    """Return the network as the source on a backend lays it out.

    Raises:
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: the backend writes no source.
    """
    if missing := lack(backend, SOURCE):
        raise UsageError(missing)
    if refused := refusals(backend, program.network):
        raise UnsupportedError(program.source, backend.name, refused)
    return backend.emitter.arranged(program.network)


def instantiate(generated: Generated, dtype: str = "float32") -> Any:
    """Return a live model of generated source, its numbers ``float32`` or ``float64``."""
    from rnnspec.source.execute import execute
    from rnnspec.weights.origins import remember

    module = execute(generated.text, generated.network.name)
    model = generated.backend.runtime.instantiate(module, generated.entry, dtype)
    remember(model, generated.store, module.__name__)
    return model


def _lowered(spec: Spec) -> Program:
    return Program(spec, verify(lowering.lower(spec)))


def _check_text(name: str, value: object, *types: type) -> None:
    if not isinstance(value, types):
        wanted = " or ".join(each.__name__ for each in types)
        raise UsageError(f"{name}: expected {wanted}, received {received(value)}")


def _checked(draft: reading.Draft) -> Program:
    """Return the spec of ``draft`` after lowering it and holding it to its own ``expect``."""
    if draft.spec is None:
        raise SpecError(in_file_order(draft.problems))
    try:
        program = _lowered(draft.spec)
    except SpecError as error:
        raise SpecError(in_file_order((*draft.problems, *error.problems))) from None
    broken = tuple(_broken_promises(draft.spec, counts(program.network).total))
    if problems := (*draft.problems, *broken):
        raise SpecError(in_file_order(problems))
    return program


def _broken_promises(spec: Spec, total: int) -> Iterator[Problem]:
    exact, most = spec.expect.parameters, spec.expect.max_parameters
    if exact is not None and total != exact:
        message = f"expected {exact:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "parameters"), message, code="E501")
    if most is not None and total > most:
        message = f"expected at most {most:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "max_parameters"), message, code="E502")

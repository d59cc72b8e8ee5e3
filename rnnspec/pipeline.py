"""The pipeline: load, lower, generate, build.

Each function imports the stages it runs when it runs them: checking a spec needs neither
templates nor NumPy, and nothing here imports a framework before ``build``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec import lowering, passes
from rnnspec.backends import BACKENDS, get
from rnnspec.errors import Problem, SpecError, UnsupportedError
from rnnspec.ir.params import Counts, count, counts
from rnnspec.ir.text import type_name
from rnnspec.spec import load as reading
from rnnspec.spec.models import Spec
from rnnspec.spec.yaml.document import in_file_order

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from rnnspec.backends import Backend
    from rnnspec.ir.nodes import Network
    from rnnspec.vectors.read import Vectors

    Source = Spec | str | os.PathLike[str]
    """A spec argument: the path of a YAML file, or what ``load`` returned."""


def load(path: str | os.PathLike[str], *, allow_outside: bool = False) -> Spec:
    """Return the spec in a YAML file, checked as a whole, its ``expect`` too.

    The files of vectors and words that it names lie inside its folder, or anywhere with
    ``allow_outside``.

    Raises:
        SpecError: it is wrong; every problem found, with its place.
        UsageError: the file cannot be read.
    """
    return _checked(reading.load(path, allow_outside=allow_outside))


def loads(text: str | bytes, source: str = "<string>", *, allow_outside: bool = False) -> Spec:
    """Return the spec in a YAML text; ``source`` names it in errors, and says where its folder is.

    Raises:
        SpecError: it is wrong; every problem found, with its place.
    """
    return _checked(reading.loads(text, source, allow_outside=allow_outside))


def lower(spec: Source) -> Network:
    """Return the network of a spec: every default resolved, every shape known.

    Raises:
        SpecError: it is wrong.
        UsageError: the file cannot be read.
    """
    return passes.run(lowering.lower(_spec(spec)))


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One row of a summary; the output shape's first axis, the batch, is ``None``."""

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a network holds, by the arithmetic of its spec.

    ``stepwise`` has, by backend, the layers that no fused layer of it computes, which the source
    therefore runs step by step, and the word that asks for it.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    parameters: Counts
    stepwise: dict[str, dict[str, str]]

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
        UsageError: the file cannot be read.
    """
    network = lower(spec)
    rows = tuple(
        LayerSummary(layer.name, type_name(layer), (None, *layer.output), count(layer))
        for layer in network.layers
    )
    stepwise = {name: backend.emitter.stepwise(network) for name, backend in BACKENDS.items()}
    return Summary(
        network.name, rows, counts(network), {name: s for name, s in stepwise.items() if s}
    )


def codegen(spec: Source, backend: str) -> str:
    """Return Python source that makes the network in ``backend``, without rnnspec.

    The same spec gives the same bytes. No framework is needed.

    Raises:
        SpecError: the spec is wrong.
        UnsupportedError: the backend cannot honour a word of it.
        UsageError: there is no such backend, or the file cannot be read.
    """
    given = _spec(spec)
    return generate(lower(given), get(backend), given.document.source)


def build(spec: Source, backend: str, *, seed: int | None = None) -> Any:
    """Return a live model: a ``keras.Model`` or a ``torch.nn.Module``, in float32.

    It is the module that ``codegen`` prints, executed. Tokens go in as (batch, steps) whole
    numbers, numbers as (batch, steps, features). Where the spec names pretrained vectors, their
    rows replace the drawn ones.

    Args:
        spec: a path, or what ``load`` returned.
        backend: ``keras`` or ``torch``.
        seed: draw the weights in NumPy, the same bits on every backend; without it the
            framework draws them, from the same distributions.

    Raises:
        SpecError: the spec, or a file of vectors or words that it names, is wrong.
        UnsupportedError: the backend cannot honour a word of it.
        UsageError: there is no such backend, or a file cannot be read.
        BackendError: the backend is not installed or too old.
    """
    given = _spec(spec)
    chosen = get(backend)
    chosen.require()
    return assemble(given, chosen, pretrained(given), seed=seed)


def pretrained(
    spec: Spec, progress: Callable[[int, int], None] = lambda *_: None
) -> Vectors | None:
    """Return the pretrained vectors that a spec names, read, or None where it names none.

    Args:
        spec: what ``load`` returned; the paths in it are relative to its folder.
        progress: called now and then with the bytes read so far, and with those there are.

    Raises:
        SpecError: a file of vectors or words is wrong.
        UsageError: one cannot be read.
    """
    if spec.embedding is None or spec.embedding.weights is None:
        return None
    from rnnspec.vectors.read import read_vectors

    folder = Path(spec.document.source).parent
    return read_vectors(lower(spec), folder, progress, allow_outside=spec.allow_outside)


def assemble(
    spec: Spec, backend: Backend, vectors: Vectors | None, *, seed: int | None = None
) -> Any:
    """Return a live model with ``vectors`` in it, as ``build`` does."""
    network = lower(spec)
    model = instantiate(network, backend, spec.document.source)
    if seed is not None:
        from rnnspec.weights.initial import draw_fresh
        from rnnspec.weights.store import write_weights

        write_weights(model, draw_fresh(network, seed))
    if vectors is not None:
        from rnnspec.vectors.read import write_vectors

        write_vectors(model, vectors)
    return model


def generate(network: Network, backend: Backend, source: str) -> str:
    """Return the source of a lowered network; ``source`` names its spec in errors."""
    from rnnspec.source.render import render

    if refused := backend.emitter.refusals(network):
        raise UnsupportedError(source, backend.name, refused)
    return render(backend.emitter.emit(network))


def instantiate(network: Network, backend: Backend, source: str, dtype: str = "float32") -> Any:
    """Return a live model of a lowered network, its numbers ``float32`` or ``float64``."""
    from rnnspec.weights.store import remember

    runtime = backend.runtime
    module = _execute(network, backend, source)
    model = runtime.instantiate(module, backend.emitter.emit(network).entry, dtype)
    remember(model, backend, backend.emitter.arranged(network), module.__name__)
    return model


def _execute(network: Network, backend: Backend, source: str) -> ModuleType:
    from rnnspec.source.execute import execute

    return execute(generate(network, backend, source), network.name)


def _spec(given: Source) -> Spec:
    return given if isinstance(given, Spec) else load(given)


def _checked(draft: reading.Draft) -> Spec:
    """Return the spec of ``draft`` after lowering it and holding it to its own ``expect``."""
    spec, problems = draft.spec, draft.problems
    if spec is not None:
        problems += _found_in_lowering(spec)
    if spec is None or problems:
        raise SpecError(in_file_order(problems))
    return spec


def _found_in_lowering(spec: Spec) -> tuple[Problem, ...]:
    try:
        total = counts(lower(spec)).total
    except SpecError as error:
        return error.problems
    return tuple(_broken_promises(spec, total))


def _broken_promises(spec: Spec, total: int) -> Iterator[Problem]:
    exact, most = spec.expect.parameters, spec.expect.max_parameters
    if exact is not None and total != exact:
        message = f"expected {exact:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "parameters"), message, code="E501")
    if most is not None and total > most:
        message = f"expected at most {most:,} parameters, this network has {total:,}"
        yield spec.document.problem(("expect", "max_parameters"), message, code="E502")

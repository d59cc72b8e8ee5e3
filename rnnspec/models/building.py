"""Build live models, with initial weights, pretrained vectors or trained arrays, and save them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import Backend, document_options, form_named, get, needs, source_options
from rnnspec.backends.contract import DEFAULTS, QUANTIZE, SourceOptions
from rnnspec.backends.needs import MODEL
from rnnspec.errors import UsageError
from rnnspec.errors.arguments import received, seed_from
from rnnspec.files import Inputs
from rnnspec.ir.params import counts
from rnnspec.machine.memory import memory_for
from rnnspec.models import saving
from rnnspec.models.live import find_origin

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from rnnspec.backends.slots import Array
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.pipeline import Generated, Program, Source
    from rnnspec.vectors.read import Vectors


@document_options
def build(
    spec: Source,
    backend: str,
    *,
    seed: int | None = None,
    form: str | None = None,
    **options: str | int | None,
) -> Any:
    """Return a live model: a ``keras.Model``, a ``torch.nn.Module`` or an ONNX graph, in float32.

    The model is made by the source that ``codegen`` returns. Its input is tokens (batch, steps),
    integers, or features (batch, steps, features). Pretrained vectors named in the spec replace
    the random initial rows of the embedding. A graph is called with a NumPy batch, and runs in
    ONNX Runtime.

    Args:
        spec: a path or the result of ``load``.
        backend: the name of a backend, such as ``keras`` or ``torch``.
        seed: seed of random initial weights from NumPy, with the same bits on every backend; not
            for a ``.safetensors`` file of rnnspec, whose weights the model has.
            Without it, the framework initializes the weights from the same distributions, or NumPy
            does if the source does not.
        form: the form of the source, as for ``codegen``.
        options: the options of the source, as for ``codegen``.

    Raises:
        SpecError: the spec is invalid, or a file of vectors or words that it names.
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: the backend is unknown or builds no models, ``spec`` or ``seed`` is not
            valid, or a file cannot be read.
        BackendError: the backend is not installed or too old.
        OutOfMemoryError: the arrays do not fit into memory.
    """
    source = form_named(form)
    program, chosen = pipeline.program(spec), get(backend, *needs.source(source), MODEL)
    asked = source_options("build", options)
    at = None if seed is None else seed_from(seed)
    return build_model(program, chosen, source, at, options=asked).model


@document_options
def save(
    model: Any,
    path: str | os.PathLike[str],
    backend: str | None = None,
    *,
    form: str | None = None,
    force: bool = False,
    **options: str | int | None,
) -> None:
    """Write a model that ``build`` made, as a file or folder that ``rnnspec convert`` writes.

    The model may have been trained since, and may be wrapped by ``DistributedDataParallel`` or
    ``torch.compile``. It is run on random batches of several lengths and with every pattern of
    padding, and so is the model loaded from the written files: both must give the results of the
    spec with its arrays, or nothing is kept. A model that ``build`` did not make is taken over
    first: ``rnnspec.from_torch(model).save(path)``, or ``from_keras``.

    Args:
        model: a live model of any backend; it stays as it is.
        path: its ending decides what is written: ``.keras``, ``.onnx``, ``.h`` for C in a
            single header, ``.safetensors`` for the arrays with the spec, and a folder without
            an ending.
        backend: the backend of a folder, such as ``torch``, ``jax`` or ``c``; by default the
            first of these.
        form: the form of the source, as for ``codegen``.
        force: replace files that exist.
        options: the options of the source, as for ``codegen``.

    Raises:
        ModelError: the model does not compute what its spec says, as it was changed since.
        UnsupportedError: the backend cannot honour a key of the spec.
        UsageError: ``model`` is no model of ``build``, the path fits no kind of file or not the
            backend, an option is not valid, an array has numbers that are not finite, or a file
            exists and ``force`` is false.
        BackendError: the backend is not installed or too old.
        ParityError: the model in the written files differs; nothing is kept.
        OutputError: the files cannot be written.
    """
    asked = source_options("save", options)
    generated = find_origin(model)
    if generated is None:
        message = f"expected a model that rnnspec.build made, received {received(model)}"
        way = "rnnspec.from_torch(model).save(path), or from_keras"
        raise UsageError(f"{message}; take it over first: {way}")
    # Imported here: a model that is only built is not compared.
    from rnnspec.importing.original import compare, of_built
    from rnnspec.models.convert import write

    def read() -> Mapping[str, Array]:
        inner, arrays = generated.backend.runtime.unwrap(model), generated.store.read(model)
        compare(of_built(generated, inner), generated.program, arrays)
        return arrays

    write(
        generated.program,
        read,
        path,
        backend=backend,
        form=form,
        options=asked,
        force=force,
    )


@dataclass(frozen=True, slots=True)
class Output:
    """The path at which a model is saved.

    It replaces files only with ``force``, and never ``inputs``.
    """

    path: Path
    force: bool = False
    inputs: Inputs = field(default_factory=Inputs)

    def check(self, program: Program, backend: Backend, form: Form | None = None) -> None:
        """Raise UsageError or OutputError if the files of a model could not be written."""
        network, inputs = program.network, self.inputs
        saving.check_output(self.path, backend, network, form, force=self.force, inputs=inputs)


@dataclass(frozen=True, slots=True)
class Built:
    """A live model, its source, and the vectors in its embeddings.

    ``equal`` has lines about the comparison of the saved model with the reference, if there was
    one.
    """

    model: Any
    generated: Generated
    vectors: tuple[Vectors, ...]
    equal: tuple[str, ...] = ()


def build_model(  # noqa: PLR0913 - the options of the command
    program: Program,
    backend: Backend,
    form: Form | None = None,
    seed: int | None = None,
    output: Output | None = None,
    *,
    options: SourceOptions = DEFAULTS,
    importing: Callable[[Backend], None] = Backend.require,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Built:
    """Build a model, and save it if there is an ``output``.

    Args:
        program: the spec and its network.
        backend: a backend that builds models.
        form: the form of the source.
        seed: as for ``build``.
        output: the files to write.
        options: the options of the source.
        importing: called before the framework is needed.
        progress: called while vectors are read; see ``pretrained_vectors``.

    Raises:
        OutputError: the files cannot be written.
        ParityError: the saved model differs from the reference; nothing is written.
        RnnspecError: see ``build``.
    """
    if output is not None:
        options = backend.emitter.complete(program.network, options)
        backend = backend.with_options(options)
        output.check(program, backend, form)
    # Before the vectors, which may take minutes to read.
    backend.require()
    # A model that is quantized is written and compared without it first.
    exact = {name: value for name, value in options.items() if name != QUANTIZE.name}
    generated = pipeline.generate(program, backend, form, exact)
    quantized = options.get(QUANTIZE.name)
    if quantized is not None:
        # Imported here, as below: a model that is not compared needs no reference.
        from rnnspec.models.quantized import check

        pipeline.arrange(program, backend, form, options)  # refuses the type, if it has to
        check(program, generated, quantized)
    arrays = trained_arrays(program, seed)
    vectors = pretrained_vectors(program, progress)
    importing(backend)
    model = assemble(generated, vectors, seed=seed, arrays=arrays)
    if output is None:
        return Built(model, generated, vectors)
    # Once more, because building takes time.
    output.check(program, backend, form)
    return Built(model, generated, vectors, _save(program, generated, model, output, quantized))


def trained_arrays(program: Program, seed: int | None) -> Mapping[str, Array] | None:
    """Return the canonical arrays in the file that a spec was read from, or None.

    Raises:
        UsageError: the file has other arrays, or a seed is given, although it has arrays.
    """
    if program.spec.file is None:
        return None
    if seed is not None:
        raise UsageError("expected no seed: the file has weights", program.source)
    from rnnspec.weights.file import read_arrays

    return read_arrays(program.spec.file, program.network)


def pretrained_vectors(
    program: Program, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[Vectors, ...]:
    """Return the pretrained vectors of each embedding for which a spec names some.

    There are none if the spec was read from a canonical file, which has all arrays.

    Args:
        program: the spec and its network; paths are relative to the folder of the spec.
        progress: called from time to time with the bytes read so far and the total.

    Raises:
        SpecError: a file of vectors or words is invalid.
        UsageError: a file cannot be read.
        OutOfMemoryError: the vectors do not fit into memory.
    """
    spec = program.spec
    named = any(embedding.weights is not None for _, embedding in spec.embeddings)
    if not named or spec.file is not None:
        return ()
    from rnnspec.vectors.read import read_vectors

    folder = Path(program.source).parent
    with _memory(program.network, 4, "in float32"):
        return read_vectors(program.network, folder, progress, allow_outside=spec.allow_outside)


def _memory(network: Network, size: int, how: str) -> AbstractContextManager[None]:
    total = counts(network)
    size *= total.trainable + total.non_trainable
    return memory_for(size, f"the arrays of {network.name}, {how},")


def assemble(
    generated: Generated,
    vectors: tuple[Vectors, ...],
    *,
    seed: int | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Any:
    """Return a live model with its initial weights and ``vectors``, or with trained arrays.

    Raises:
        OutOfMemoryError: the arrays do not fit into memory.
    """
    # Source that cannot train has no initializers.
    drawn = arrays is None and seed is None and generated.form == "training"
    # NumPy draws in float64.
    size, how = (4, "in float32") if drawn or arrays else (12, "drawn in float64 for float32")
    with _memory(generated.network, size, how):
        model = pipeline.instantiate(generated, drawn=drawn)
        if arrays is not None:
            generated.store.write(model, arrays)
            return model
        if not drawn:
            from rnnspec.weights.initial import draw_fresh

            generated.store.write(model, draw_fresh(generated.network, seed))
        # After the initial weights, which would overwrite them.
        if vectors:
            from rnnspec.vectors.read import write_vectors

            for own in vectors:
                write_vectors(generated.store, model, own)
        return model


def _save(
    program: Program, generated: Generated, model: Any, output: Output, quantized: str | None
) -> tuple[str, ...]:
    """Write the files of a model, and return lines about the comparison, if there is one.

    A model that is written to be deployed is compared with the reference first.
    """
    text = program.spec.document.text
    save = partial(saving.save, output.path, generated, text, model, force=output.force)
    if generated.form == "training":
        save()
        return ()
    from rnnspec.comparison.verify import Proof
    from rnnspec.models.quantized import Quantization

    proof = Proof(program, generated, generated.store.read(model))
    if quantized is None:
        save(verify=proof)
        return (f"equal to {proof.equal}",)
    quantization = Quantization(proof, quantized, output.path)
    save(verify=quantization)
    return (f"equal to {proof.equal}, before quantization", *quantization.report())

"""Live models of other tools: the public functions, and ``Model``, which they return."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnspec import pipeline
from rnnspec.backends import document_options, source_options
from rnnspec.display import html_of, text_of
from rnnspec.errors import UsageError, listed
from rnnspec.errors.arguments import received
from rnnspec.importing.assemble import name_network, write_spec
from rnnspec.importing.original import Original, compare, of_built
from rnnspec.models.live import find_origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnspec.backends.slots import Array
    from rnnspec.importing.assemble import ImportedModel
    from rnnspec.spec.models import Spec


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was taken over: its spec, its canonical arrays, and what was left behind.

    ``spec`` is what ``rnnspec.load`` returns, and its text ``spec.document.text``. ``arrays`` is
    what ``rnnspec.write_weights`` takes. ``left_out`` and ``inferred`` are sentences, and so is
    ``compared``: with what the spec was compared, or why it was not. ``str`` gives its layers and
    these sentences, and notebooks show them with its picture.
    """

    spec: Spec
    arrays: Mapping[str, Array]
    left_out: tuple[str, ...]
    inferred: tuple[str, ...]
    compared: str

    @document_options
    def save(
        self,
        path: str | os.PathLike[str],
        backend: str | None = None,
        *,
        form: str | None = None,
        force: bool = False,
        **options: str | int | None,
    ) -> None:
        """Write the model as a file or folder that ``rnnspec convert`` writes.

        The model is loaded from the written files and compared with the reference before they are
        kept.

        Args:
            path: its ending decides what is written: ``.keras``, ``.onnx``, ``.h`` for C in a
                single header, ``.safetensors`` for the arrays with the spec, and a folder without
                an ending.
            backend: the backend of a folder, such as ``torch``, ``jax`` or ``c``; by default the
                first of these.
            form: the form of the source, as for ``codegen``.
            force: replace files that exist.
            options: the options of the source, as for ``codegen``.

        Raises:
            UnsupportedError: the backend cannot honour a key of the spec.
            UsageError: the path fits no kind of file or not the backend, an option is not valid, an
                array has numbers that are not finite, or a file exists and ``force`` is false.
            BackendError: the backend is not installed or too old.
            ParityError: the model in the written files differs; nothing is kept.
            OutputError: the files cannot be written.
        """
        # Imported here because a model is read without what writes files.
        from rnnspec.models.convert import write

        write(
            pipeline.program(self.spec),
            lambda: self.arrays,
            path,
            backend=backend,
            form=form,
            options=source_options("save", options),
            force=force,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Settings that the model does not state, parts left behind, and the comparison."""
        return (
            *(f"inferred: {sentence}" for sentence in self.inferred),
            *(f"not carried over: {sentence}" for sentence in self.left_out),
            self.compared,
        )

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        arrays = len(self.arrays)
        return f"Model({self.spec.name}, {arrays} array{'' if arrays == 1 else 's'})"

    def _repr_html_(self) -> str:
        return html_of(self)


def from_keras(model: Any, name: str = "") -> Model:
    """Return a live Keras model as a spec and its canonical arrays.

    Its configuration and its weights are read. Then the model is run on random batches of several
    lengths and with every pattern of padding, and the spec must give the same results. The model
    stays as it is.

    Args:
        model: a built ``keras.Model`` (Sequential or functional), of Keras 3 or of ``tf_keras``.
        name: the name of the network; by default that of the model.

    Raises:
        ModelError: the model is not supported (every reason is listed), or the spec
            gives other results.
        UsageError: ``model`` is no Keras model, or has no weights yet.
    """
    from rnnspec.backends.keras.outputs import precision
    from rnnspec.importing import built
    from rnnspec.importing.keras.files import is_unchanged
    from rnnspec.importing.keras.model import framework, output, read_live

    version = _version(model)
    if version is None:
        raise UsageError(f"expected a Keras model, received {received(model)}")
    # Our own source says more than its layers: which first states are given, and in what order
    # the spec has its branches. Attention and a tied kernel with a bias are several operations.
    generated = find_origin(model)
    result = None
    if generated is not None:
        result = built.read_live(generated, model, "model", name, is_unchanged)
    if result is None:
        chosen = name or name_network(model.name)
        result = write_spec("model", read_live(model, chosen, version))
    original = Original(
        source="model",
        what="the model",
        framework=framework(model, version),
        output=lambda trial: output(model, trial.inputs),
        dtype=precision(model),
        live=True,
        inputs=result.imported.inputs,
        padded_at_end=result.imported.padded_at_end,
    )
    return _model(result, str(compare(original, result.program, result.arrays)))


def _model(read: ImportedModel, compared: str) -> Model:
    account = read.imported
    return Model(read.program.spec, read.arrays, account.left_out, account.inferred, compared)


def from_torch(
    module: Any,
    example: Any = None,
    name: str = "",
    *,
    outputs: Sequence[int | str] | None = None,
) -> Model:
    """Return a live PyTorch module as a spec and its canonical arrays.

    Its ``forward`` is traced by ``torch.fx``, with symbols in place of data, in evaluation mode;
    a model of ``rnnspec.build``, trained or not, has its spec, if nothing but its arrays was
    changed. Then a copy is run, in float64 if it can be, and the network must give the same
    results: on the example and on random inputs. The module itself is neither run nor changed.

    Args:
        module: an ``nn.Module`` whose ``forward`` calls layers of PyTorch, and no classes that
            rnnspec writes around them or for cells by equations. Its first argument is
            tokens, shape (batch, steps), or features, shape (batch, steps, features), or the same
            with the axes in another order or without the batch; others may be lengths for
            ``pack_padded_sequence``, or
            inputs of a graph: sequences, vectors, labels and first states. Its result is a
            tensor, or a tuple, a list or a dict of tensors, which are named outputs.
        example: the inputs of ``forward``, a tensor, a tuple, or a mapping by the names of its
            arguments; needed only for a module that fails on random ones, or whose layers do not
            tell the features of an input. An argument with a default is an input only if the
            example has it.
        name: the name of the network; by default that of the module's class.
        outputs: the results that are taken, by their places in a tuple or by their keys. By
            default, these are all but final states, weights of an attention and lengths beside
            another result; the final states of a layer whose first states are an argument are
            taken too.

    Raises:
        ModelError: the module is not supported; every reason is listed.
        UsageError: ``module`` is no module of PyTorch, or fails on the example.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise UsageError(f"expected a module of PyTorch, received {received(module)}")
    if "_modules" not in vars(module):
        message = "expected a module whose __init__ calls super().__init__(), received"
        raise UsageError(f"{message} {received(module)}")
    from rnnspec.backends.torch.runtime import RUNTIME
    from rnnspec.importing import built
    from rnnspec.importing.torch.graph import arguments, copy_module
    from rnnspec.importing.torch.module import is_unchanged, read_module
    from rnnspec.importing.torch.runs import compare_module

    chosen = name or name_network(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(module).__name__))
    inner: Any = RUNTIME.unwrap(module)
    generated = find_origin(module)
    if generated and generated.form == "step":
        message = "expected a module that takes whole sequences, received one in step form"
        raise UsageError(f"{message}; build its spec in another form", "module")
    own = generated and built.read_live(generated, inner, "module", name, is_unchanged)
    if generated and own and outputs is None:
        original = of_built(generated, copy_module(inner).cpu().double(), "module")
        return _model(own, str(compare(original, own.program, own.arrays)))
    if isinstance(example, Mapping):
        inputs = dict(example)
        if unknown := sorted(inputs.keys() - set(arguments(inner))):
            message = f"expected arguments of forward, received {listed(unknown)}"
            raise UsageError(message, "example")
    else:
        several = example if isinstance(example, tuple) else () if example is None else (example,)
        inputs = dict(zip(arguments(inner), several, strict=False))
    imported, layout = read_module(inner, chosen, inputs, outputs)
    result = write_spec("module", imported)
    return _model(result, compare_module(inner, inputs, result, layout))


def _version(model: Any) -> str | None:
    """Return the version of the Keras that a model is of, or None if it is no model of it."""
    # A model exists only if its framework is imported.
    for package in ("keras", "tf_keras"):
        module = sys.modules.get(package)
        if module is not None and isinstance(model, module.Model):
            return str(module.__version__)
    return None

"""Pretrained word vectors: read from files of any size, and written into a live model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnspec.errors import Problem, SpecError
from rnnspec.ir.nodes import Embedding
from rnnspec.vectors import arrays, text
from rnnspec.vectors.lines import quiet, resolved
from rnnspec.vectors.table import Vectors
from rnnspec.vectors.words import read_words

if TYPE_CHECKING:
    from rnnspec.ir.nodes import Network
    from rnnspec.vectors.lines import Progress
    from rnnspec.weights.store import Store


def read_vectors(
    network: Network, folder: Path, progress: Progress = quiet, *, allow_outside: bool = False
) -> Vectors | None:
    """Return the pretrained vectors of a network, or None if it has none.

    Text is read line by line and arrays through a memory map, so memory is needed only for the
    result. If a text file has a word twice, the first one counts.

    Args:
        network: a lowered network.
        folder: the folder to which the paths in the network are relative.
        allow_outside: whether paths and links may lead out of ``folder``.
        progress: called from time to time with the bytes read so far and the total.

    Raises:
        UsageError: a file cannot be read.
        SpecError: a file is invalid; for a text file, the error gives the line.
    """
    for layer in network.layers:
        if isinstance(layer, Embedding) and layer.pretrained is not None:
            path, listed = folder / layer.pretrained.weights, folder / layer.pretrained.words
            inside = None if allow_outside else folder
            if inside is not None:
                _check_inside(inside, path, listed)
            words = read_words(listed, layer.vocabulary, inside)
            vectors = Vectors(
                f"{layer.name}.embeddings",
                path,
                words,
                np.zeros((layer.vocabulary, layer.dim), np.float32),
                np.zeros(layer.vocabulary, np.bool_),
                inside,
            )
            with np.errstate(over="ignore"):  # an overflow becomes infinite, and is refused
                _read(vectors, progress)
            return vectors
    return None


def _check_inside(folder: Path, *paths: Path) -> None:
    # Links are followed first, because one inside the folder can lead out of it. That is for the
    # message: what the path leads to may change, so the files are checked again as they are opened.
    base = resolved(folder)
    outside = [path for path in paths if not resolved(path).is_relative_to(base)]
    if outside:
        message = "is outside the folder of the spec; --allow-outside permits this"
        raise SpecError(tuple(Problem(str(path), message, code="E603") for path in outside))


def _read(vectors: Vectors, progress: Progress) -> None:
    match vectors.path.suffix.lower():
        case ".npy":
            arrays.read_npy(vectors, progress)
        case ".safetensors":
            arrays.read_safetensors(vectors, progress)
        case _:
            text.read_text(vectors, progress)
    if not vectors.found.any():
        message = f"contains none of the {len(vectors.words.rows):,} words of {vectors.words.path}"
        raise SpecError((Problem(str(vectors.path), message, code="E628"),))


def write_vectors(store: Store, model: Any, vectors: Vectors) -> None:
    """Replace the rows of an embedding for which there are vectors; keep the others."""
    kept = store.read_one(model, vectors.array)
    np.copyto(kept, vectors.rows, where=vectors.found[:, None])
    store.write_one(model, vectors.array, kept)

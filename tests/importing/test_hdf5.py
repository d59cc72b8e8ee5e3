"""HDF5 in every form that h5py writes for Keras is read as h5py reads it; sizes are held."""

from __future__ import annotations

import re
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from cli.conftest import _own_folder
from importing.old import LSTM, archived, layer, message, reviews, written
from offered import import_later

from rnnspec.importing.run import take

h5py = import_later("h5py")

__all__ = ["_own_folder"]

Change = Callable[[Any, str, Any], None]
"""Writes an array into a group under a name."""


def plainly(group: Any, name: str, array: Any) -> None:
    group[name] = array


def in_chunks(group: Any, name: str, array: Any, **options: Any) -> None:
    chunks = tuple(max(1, 2 * size // 3) for size in array.shape)
    group.create_dataset(name, data=array, chunks=chunks, **options)


def packed(group: Any, name: str, array: Any) -> None:
    in_chunks(group, name, array, compression="gzip")


def shuffled(group: Any, name: str, array: Any) -> None:
    in_chunks(group, name, array, compression="gzip", shuffle=True)


def growing(group: Any, name: str, array: Any) -> None:
    in_chunks(group, name, array, maxshape=(None,) * array.ndim)


def in_small_chunks(group: Any, name: str, array: Any) -> None:
    group.create_dataset(name, data=array, chunks=(1,) * array.ndim)


def in_one_chunk(group: Any, name: str, array: Any) -> None:
    group.create_dataset(name, data=array, chunks=array.shape, compression="gzip")


def allocated(group: Any, name: str, array: Any) -> None:
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk(tuple(max(1, 2 * size // 3) for size in array.shape))
    created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    _write(group, name, array, created)


def in_the_header(group: Any, name: str, array: Any) -> None:
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_layout(h5py.h5d.COMPACT if array.nbytes < 2**15 else h5py.h5d.CONTIGUOUS)
    _write(group, name, array, created)


def _write(group: Any, name: str, array: Any, created: Any) -> None:
    space, kind = h5py.h5s.create_simple(array.shape), h5py.h5t.py_create(array.dtype)
    made = h5py.h5d.create(group.id, name.encode(), kind, space, created)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(array))


def as_type(dtype: str) -> Change:
    def add(group: Any, name: str, array: Any) -> None:
        group[name] = array.astype(dtype)

    return add


def fixed(value: Any) -> Any:
    return np.array(value, "S")


def flexible(value: Any) -> Any:
    return np.array(value, dtype=h5py.string_dtype()) if isinstance(value, list) else value


def copied(change: Change, text: Callable[[Any], Any] = flexible, **options: Any) -> Path:
    """Write a file of Keras 2 in another form."""
    dense = options.get("track_order")
    with h5py.File(reviews("plain.h5")) as one, h5py.File("model.h5", "w", **options) as two:

        def copy(found: Any, made: Any) -> None:
            for key, value in found.attrs.items():
                made.attrs[key] = text(_plain(value))
            # More than eight are no longer in the header of a group.
            for number in range(20 if dense else 0):
                made.attrs[f"more{number}"] = number
                made.create_group(f"more{number}")
            for key, each in found.items():
                if isinstance(each, h5py.Dataset):
                    change(made, key, each[()])
                else:
                    copy(each, made.create_group(key, track_order=dense))

        copy(one, two)
    return Path("model.h5")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [each.decode() if isinstance(each, bytes) else each for each in value.tolist()]
    return value


def found_by_h5py(path: Path) -> dict[str, Any]:
    arrays = {}
    with h5py.File(path) as file:
        group = file["model_weights"]
        for layer in group.attrs["layer_names"]:
            for name in group[layer].attrs["weight_names"]:
                key = name if isinstance(name, str) else name.decode()
                arrays[key.replace("/", "_1.").removesuffix(":0")] = group[layer][name][()]
    return arrays


@cases(
    ("change", "text", "options"),
    [
        (plainly, fixed, {}),
        (in_chunks, flexible, {}),
        (packed, flexible, {}),
        (shuffled, flexible, {}),
        (in_the_header, flexible, {}),
        (as_type(">f4"), flexible, {}),
        (as_type("<f8"), flexible, {}),
        (as_type("<f2"), flexible, {}),
        (plainly, fixed, {"libver": ("v108", "v108")}),
        (shuffled, flexible, {"libver": ("v108", "v108"), "track_order": True}),
        (in_chunks, fixed, {"track_order": True}),
        (plainly, flexible, {"libver": "latest"}),
        (in_the_header, fixed, {"libver": "latest", "track_order": True}),
        (in_chunks, flexible, {"libver": "latest"}),
        (shuffled, flexible, {"libver": "latest"}),
        (in_small_chunks, flexible, {"libver": "latest"}),
        (in_one_chunk, flexible, {"libver": "latest"}),
        (allocated, flexible, {"libver": "latest"}),
        (growing, flexible, {}),
    ],
)
def test_forms_of_files(
    change: Change, text: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    path = copied(change, text, **options)
    arrays = take(path).arrays
    expected = found_by_h5py(path)
    assert len(expected) == len(arrays) == 6
    for name, array in arrays.items():
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, expected[name], name)


def test_a_superblock_of_version_1() -> None:
    path = copied(plainly)
    expected = found_by_h5py(path)
    whole = path.read_bytes()
    # It has four bytes more; what they move into the first object are those of a cache.
    path.write_bytes(whole[:8] + b"\1" + whole[9:24] + b"\x20\0\0\0" + whole[24:92] + whole[96:])
    for name, array in take(path).arrays.items():
        np.testing.assert_array_equal(array, expected[name], name)


def test_names_in_parts() -> None:
    path = reviews("model.h5")
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights"].attrs
        names = attributes.pop("layer_names")
        attributes["layer_names0"], attributes["layer_names1"] = names[:2], names[2:]
    assert len(take(path).arrays) == 6


def test_an_archive_needs_no_room_on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    path = reviews("model.h5")
    expected = take(path).arrays
    monkeypatch.setattr(tempfile, "tempdir", str(Path("missing").absolute()))
    arrays = take(archived("model.keras", path)).arrays
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], name)


def _bfloat16(group: Any, name: str, array: Any) -> None:
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_ebias(127)
    space = h5py.h5s.create_simple(array.shape)
    h5py.h5d.create(group.id, name.encode(), kind, space)


def _missing_chunks(group: Any, name: str, array: Any) -> None:
    made = group.create_dataset(name, array.shape, "f4", chunks=(1,) * array.ndim)
    made[(0,) * array.ndim] = 1


def _checked(group: Any, name: str, array: Any) -> None:
    in_chunks(group, name, array, fletcher32=True)


@cases(
    ("change", "options", "wanted"),
    [
        (_bfloat16, {}, "expected float16, float32 or float64, received other numbers"),
        (as_type("i4"), {}, "expected floating-point numbers, received integers"),
        (_missing_chunks, {}, "expected 4,000 chunks, received others or fewer"),
        (_checked, {}, "expected gzip as compression, received the filter 3 of HDF5"),
        (growing, {"libver": "latest"}, "expected an array of fixed size, received one that can"),
    ],
)
def test_what_is_not_read(change: Change, options: dict[str, Any], wanted: str) -> None:
    assert wanted in message(copied(change, **options))


@cases(("mark", "at"), [(b"BTHD", 12), (b"FRHP", 140)])
def test_indexes_that_claim_levels(mark: bytes, at: int) -> None:
    path = copied(plainly, libver=("v108", "v108"), track_order=True)
    whole = bytearray(path.read_bytes())
    for found in re.finditer(mark, whole):
        start = found.start() + at
        whole[start : start + 2] = b"\xff\xff"
    path.write_bytes(whole)
    assert "an index claims too many levels" in message(path)


def _many_texts() -> Path:
    path = reviews("model.h5")
    names = ["n" * 2**20] + ["n"] * 2999
    with h5py.File(path, "r+") as file:
        file["model_weights"].attrs["layer_names"] = np.array(names, h5py.string_dtype())
    whole = bytearray(path.read_bytes())
    # Each element is a length, the address of a heap and a number in it: all as the first one.
    at = whole.index((2**20).to_bytes(4, "little"))
    while not whole.startswith(b"GCOL", int.from_bytes(whole[at + 4 : at + 12], "little")):
        at = whole.index((2**20).to_bytes(4, "little"), at + 1)
    whole[at : at + 16 * len(names)] = whole[at : at + 16] * len(names)
    path.write_bytes(whole)
    return path


def _bomb() -> Path:
    path = written(layer("Embedding", input_dim=2**13, output_dim=2**11), LSTM, shape=(5,))
    with h5py.File(path) as one, h5py.File("bomb.h5", "w") as two:
        one.copy("model_weights", two)
        two.attrs.update(one.attrs)
        name = "model_weights/embedding/embedding/embeddings:0"
        del two[name]
        zeros = np.zeros((2**13, 2**11), "f4")
        two.create_dataset(name, data=zeros, chunks=zeros.shape, compression="gzip")
    with h5py.File("bomb.h5") as one, h5py.File("small.h5", "w") as two:
        one.copy("model_weights", two)
        two.attrs.update(one.attrs)
    return Path("small.h5")


def _archive(
    config: bytes, declared: int | None = None, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile("model.keras", "w", method) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
        archive.writestr("config.json", config)
        if declared is not None:
            archive.infolist()[-1].file_size = declared
    return Path("model.keras")


def _lists() -> Path:
    return _archive(b"[" + b"[]," * 20_000_000 + b"[]]")


def _declared_less() -> Path:
    return _archive(b" " * 2**27, 1_000)


def _packed_with_bzip2() -> Path:
    return _archive(b" " * 2**27, 1_000, zipfile.ZIP_BZIP2)


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (_many_texts, "it refers to the same bytes again and again"),
        (_bomb, "bytes of arrays"),
        (_lists, "config.json has 60,000,004 bytes"),
        (_declared_less, "expected a .keras file"),
        (_packed_with_bzip2, "config.json: expected deflate or no compression"),
    ],
)
def test_memory_in_proportion_to_the_file(write: Callable[[], Path], wanted: str) -> None:
    path = write()
    tracemalloc.start()
    try:
        assert wanted in message(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size < 2**22
    assert peak < 2**26

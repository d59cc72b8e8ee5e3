"""Arrays of a file by a mapping: what is written, what is read, and for each kind of file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from cases import cases
from cli.conftest import _own_folder, _signals, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.errors import ModelError, SpecError, UsageError
from rnnspec.importing.run import take

__all__ = ["_own_folder", "_signals", "run"]

torch = pytest.importorskip("torch")
nn: Any = torch.nn

SPEC = """version: 1
name: net
embedding: {vocabulary: 9, dim: 4}
rnn:
- {type: gru, units: 4, layers: 2}
- {type: lstm, units: 4}
heads: {a: {units: 4, name: one}, b: {units: 4, name: two}}
"""
OWNERS = {
    "embedding.weight": "embedding_1.embeddings",
    "one.weight": "one.kernel",
    "one.bias": "one.bias",
    "two.weight": "two.kernel",
    "two.bias": "two.bias",
    **{
        f"{module}.{array}_l{layer}": f"{name}.{canonical}"
        for module, layer, name in (("gru", 0, "gru_1"), ("gru", 1, "gru_2"), ("lstm", 0, "lstm_1"))
        for array, canonical in {
            "weight_ih": "kernel",
            "weight_hh": "recurrent_kernel",
            "bias_ih": "bias",
            "bias_hh": "bias" if module == "lstm" else "recurrent_bias",
        }.items()
    },
}
"""The canonical array that each array of the module is."""
Arrays = Mapping[str, Any]


class Net(nn.Module):  # type: ignore[misc]
    """Layers of equal sizes, so that shapes tell little."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.embedding = nn.Embedding(9, 4)
        self.gru = nn.GRU(4, 4, num_layers=2, batch_first=True)
        self.lstm = nn.LSTM(4, 4, batch_first=True)
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.double()

    def forward(self, x: Any) -> Any:
        """Return both outputs beside each other."""
        last = self.lstm(self.gru(self.embedding(x))[0])[1][0][-1]
        return torch.cat((self.one(last), self.two(last)), 1)


def of_torch() -> dict[str, Any]:
    return {name: array.numpy().copy() for name, array in Net().state_dict().items()}


def of_keras() -> dict[str, Any]:
    """Return the same arrays as Keras has them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt"
        torch.save({key: torch.from_numpy(array) for key, array in of_torch().items()}, path)
        return dict(take(path, spec=pipeline.reads(SPEC)).arrays)


def save_h5(arrays: Arrays, path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


SAVE: dict[str, Callable[[Arrays, Path], Any]] = {
    ".pt": lambda arrays, path: torch.save(
        {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}, path
    ),
    ".safetensors": lambda arrays, path: save_file(
        {key: np.ascontiguousarray(array) for key, array in arrays.items()}, path
    ),
    ".npz": lambda arrays, path: np.savez(path, **arrays),
    ".h5": save_h5,
}


def output_of(taken: Any, batch: Any) -> Any:
    return reference.run(taken.program.network, dict(taken.arrays), batch).output


def complete(path: Path, owners: Mapping[str, str]) -> int:
    """Fill in the lines without a name, and return how many there were; the others must be true."""
    lines = path.read_text("utf-8").splitlines()
    empty = 0
    for at, line in enumerate(lines):
        if (match := re.fullmatch(r"  \"?([^:\"]+)\"?:(.*?)  (#.*)", line)) is None:
            continue
        name, value, comment = match.groups()
        if value.strip():
            assert owners[name] in value
            continue
        empty += 1
        assert owners[name] in comment
        lines[at] = f'  "{name}": {owners[name]}'
    path.write_text("\n".join(lines), encoding="utf-8")
    return empty


@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.permutations(range(len(OWNERS))), st.data())
def test_a_completed_map_gives_the_outputs_of_the_module(order: list[int], data: Any) -> None:
    suffix = data.draw(st.sampled_from([*SAVE]))
    is_of_torch = suffix in (".pt", ".safetensors")
    arrays = of_torch() if is_of_torch else of_keras()
    owner_of = OWNERS if is_of_torch else {name: name for name in arrays}
    pairs = sorted(zip(order, arrays, strict=False))
    names = {f"array.v{number}": name for number, name in pairs}
    owners = {key: owner_of[name] for key, name in names.items()}
    with TemporaryDirectory() as folder:
        path, mapping = Path(folder) / f"net{suffix}", Path(folder) / "map.yaml"
        SAVE[suffix]({key: arrays[name] for key, name in names.items()}, path)
        spec = pipeline.reads(SPEC)
        with pytest.raises(ModelError, match=r"written: complete the lines .* \[E710\]"):
            take(path, spec=spec, mapping=mapping)
        assert complete(mapping, owners) > 0
        taken = take(path, spec=spec, mapping=mapping)
    batch = np.random.default_rng(0).integers(0, 9, (3, 7))
    with torch.no_grad():
        expected = Net()(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(output_of(taken, batch), expected, rtol=0, atol=1e-12)


KERAS = {
    "embedding/embeddings": "embedding_1.embeddings",
    "gru/kernel": "gru_1.kernel",
    "gru/recurrent_kernel": "gru_1.recurrent_kernel",
    "gru/bias": ("gru_1.bias", "gru_1.recurrent_bias"),
    "out/kernel": "dense_1.kernel",
    "out/bias": "dense_1.bias",
}
SMALL = """version: 1
name: net
embedding: {vocabulary: 9, dim: 4}
rnn: {type: gru, units: 5}
head: {units: 2}
"""


class Small(nn.Module):  # type: ignore[misc]
    """A chain whose arrays all have shapes of their own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.embedding, self.gru = nn.Embedding(9, 4), nn.GRU(4, 5, batch_first=True)
        self.out = nn.Linear(5, 2)
        self.double()

    def forward(self, x: Any) -> Any:
        """Return the output of the last step."""
        return self.out(self.gru(self.embedding(x))[1][-1])


@cases(
    ("suffix", "form"),
    [
        (".pt", "state dict of PyTorch"),
        (".safetensors", "arrays of safetensors"),
        (".npz", "arrays of NumPy"),
        (".h5", "arrays of HDF5"),
    ],
)
def test_arrays_in_the_layout_of_keras(tmp_path: Path, suffix: str, form: str) -> None:
    state = {key: array.numpy() for key, array in Small().state_dict().items()}
    SAVE[".pt"](state, tmp_path / "torch.pt")
    spec = pipeline.reads(SMALL)
    expected = take(tmp_path / "torch.pt", spec=spec).arrays
    arrays = {
        name: expected[of] if isinstance(of, str) else np.stack([expected[one] for one in of])
        for name, of in KERAS.items()
    }
    path = tmp_path / f"net{suffix}"
    SAVE[suffix](arrays, path)
    taken = take(path, spec=spec)
    assert taken.imported.form == form
    for name, array in expected.items():
        np.testing.assert_array_equal(taken.arrays[name], array)
    batch = np.random.default_rng(0).integers(0, 9, (3, 7))
    with torch.no_grad():
        output = Small()(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(output_of(taken, batch), output, rtol=0, atol=1e-12)


@pytest.fixture
def mapped(tmp_path: Path) -> Callable[[str], Any]:
    """Take a file of arrays without names by lines of a mapping."""
    state = {key: array.numpy() for key, array in Small().state_dict().items()}
    path, mapping = tmp_path / "net.pt", tmp_path / "map.yaml"
    SAVE[".pt"](state | {"more": np.zeros(3)}, path)

    def take_by(text: str) -> Any:
        mapping.write_text(text, encoding="utf-8")
        return take(path, spec=pipeline.reads(SMALL), mapping=mapping)

    return take_by


@cases(
    ("text", "line", "column", "message"),
    [
        ("arrays:\n  out.weight: gru_1.kernel\n", 2, 15,
         r"shape \(15, 4\) in layout torch, received"),
        ("arrays:\n  out.weight: {array: dense_1.kernel, layout: keras}\n", 2, 15,
         r"shape \(5, 2\) in layout keras, received \(2, 5\) .*; layout torch has this shape"),
        ("arrays:\n  out.wight: dense_1.kernel\n", 2, 3, "did you mean out.weight?"),
        ("arrays:\n  out.weight: dense_1.kernl\n", 2, 15, "did you mean dense_1.kernel?"),
        ("layout: tf\narrays: {}\n", 1, 9, "expected torch or keras"),
        ("arrays:\n  gru.weight_ih_l0: {array: gru_1.kernel, gates: r z h}\n", 2, 50,
         "expected the gates r z n in some order"),
        ("arrays:\n  more: dense_1.bias\n", 2, 9, r"expected shape \(2,\)"),
        ("arrays:\n  more: ignore\n  out.weight: [dense_1.kernel, dense_1.bias]\n", 3, 15, "shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_its_place(
    mapped: Any, text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        mapped(text)
    (problem,) = caught.value.problems
    assert problem.source.endswith("map.yaml")
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (line, column)


def test_a_square_matrix_by_itself_has_no_layout(tmp_path: Path) -> None:
    spec = pipeline.reads(SMALL.replace("units: 2", "units: 5"))
    file, mapping = tmp_path / "net.npz", tmp_path / "map.yaml"
    # The other arrays are certain, by their names or their shapes.
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/embeddings": (9, 4),
        "gru/kernel": (4, 15),
        "gru/recurrent_kernel": (5, 15),
    }
    shapes |= {"gru/bias": (2, 15), "w": (5, 5), "b": (5,)}
    SAVE[".npz"]({name: np.ones(shape) for name, shape in shapes.items()}, file)
    with pytest.raises(
        ModelError, match=r"dense_1: .* may be those of w, in several ways; .* --map"
    ):
        take(file, spec=spec, mapping=mapping)
    text = mapping.read_text("utf-8").replace('"', "")
    assert "  w:  # (5, 5): dense_1.kernel\n" in text
    assert "  b: {array: dense_1.bias, layout: torch}  # (5,)\n" in text
    assert "  gru/bias: [gru_1.bias, gru_1.recurrent_bias]  # (2, 15)\n" in text


def test_what_is_no_mapping(mapped: Any) -> None:
    with pytest.raises(ModelError, match="expected a mapping with the keys layout and arrays"):
        mapped("[1]\n")
    with pytest.raises((ModelError, SpecError)):
        mapped("arrays: {\n")


def test_arrays_are_left_out_and_gates_are_in_another_order(mapped: Any, tmp_path: Path) -> None:
    expected = mapped("arrays: {more: ignore}\n")
    assert any("more (left out by " in each for each in expected.imported.left_out)
    state = {key: array.numpy() for key, array in Small().state_dict().items()}
    gru = [key for key in state if key.startswith("gru.")]
    # The header says the order of PyTorch's gates, and these are in another one.
    written = tmp_path / "written.yaml"
    with pytest.raises(ModelError):
        take(tmp_path / "net.pt", spec=pipeline.reads(SMALL), mapping=written)
    order = re.search(r"layout torch: .* GRU ((\w) (\w) (\w))\.", written.read_text("utf-8"))
    assert order is not None
    r, z, n = order.groups()[1:]
    for key in gru:
        parts = np.split(state[key], 3)
        state[key] = np.concatenate([parts[2], parts[0], parts[1]])
    SAVE[".pt"](state, tmp_path / "other.pt")
    owner = dict(zip(gru, ["kernel", "recurrent_kernel", "bias", "recurrent_bias"], strict=True))
    lines = [f"  {key}: {{array: gru_1.{of}, gates: {n} {r} {z}}}\n" for key, of in owner.items()]
    (tmp_path / "gates.yaml").write_text("arrays:\n" + "".join(lines), encoding="utf-8")
    spec = pipeline.reads(SMALL)
    taken = take(tmp_path / "other.pt", spec=spec, mapping=tmp_path / "gates.yaml")
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(taken.arrays[name], array)


def test_the_command_writes_a_map_and_reads_it(run: Any) -> None:
    arrays = of_keras()
    np.savez("net.npz", **{f"v{at}": array for at, array in enumerate(arrays.values())})
    Path("net.yaml").write_text(SPEC, encoding="utf-8")
    command = ("import", "net.npz", "--spec", "net.yaml", "--map", "map.yaml")
    ran = run(*command)
    assert ran.code == 1
    assert "map.yaml: error: written: complete the lines without a name" in ran.err
    assert not Path("net.safetensors").exists()
    complete(Path("map.yaml"), {f"v{at}": name for at, name in enumerate(arrays)})
    ran = run(*command)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("net.npz: arrays of NumPy\n")
    assert "not compared with the original: the file has arrays, and nothing" in ran.out
    for words in (("import", "net.npz"), ("convert", "net.npz", "moved.safetensors")):
        ran = run(*words, "--map", "map.yaml")
        assert ran.code == 2
        assert "net.npz: error: --map needs --spec, whose arrays the file has" in ran.err
    for map_of in ("map.yaml", "other.yaml"):
        ran = run("convert", "net.npz", "net.keras", "--spec", "net.yaml", "--map", map_of)
        assert Path("net.keras").exists() == (map_of == "map.yaml") == (ran.code == 0)
        Path("net.keras").unlink(missing_ok=True)
    assert "other.yaml: error: written: complete the lines without a name" in ran.err
    lines = Path("map.yaml").read_text(encoding="utf-8").splitlines()
    some = [line for line in lines if not re.match('  "v[1-9]', line)]
    Path("part.yaml").write_text("\n".join(some), encoding="utf-8")
    ran = run("import", "net.npz", "--spec", "net.yaml", "--map", "part.yaml", "--force")
    assert ran.code == 1
    advice = "; say which in a mapping: --map FILE, which is written if it is not there [E710]"
    assert advice in ran.err


def test_a_file_of_arrays_needs_a_spec(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", x=np.zeros(3))
    with pytest.raises(UsageError, match="name the spec whose arrays it has with --spec"):
        take(tmp_path / "net.npz")

"""State dicts of PyTorch: the network that is read from one computes what the module computes."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.errors import ModelError, UsageError
from rnnspec.importing.assemble import ImportedModel
from rnnspec.importing.run import import_file, take
from rnnspec.importing.torch.pickled import read_pickle

torch = pytest.importorskip("torch")
nn: Any = torch.nn


class Net(nn.Module):  # type: ignore[misc]
    """A stack after an embedding or none, its last state or every step, and dense layers."""

    def __init__(self, kind: str, *, both: bool, tokens: bool, bias: bool = True) -> None:
        super().__init__()
        if tokens:
            self.embedding = nn.Embedding(7, 3)
        self.rnn = getattr(nn, kind)(
            3, 4, num_layers=2, bidirectional=both, batch_first=True, bias=bias
        )
        self.hidden = nn.Linear(8 if both else 4, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x: Any, *, every_step: bool = False) -> Any:
        """Return the output of a batch."""
        x = self.embedding(x) if hasattr(self, "embedding") else x
        steps, state = self.rnn(x)
        state = state[0] if isinstance(state, tuple) else state
        last = torch.cat((state[-2], state[-1]), 1) if self.rnn.bidirectional else state[-1]
        return self.out(torch.relu(self.hidden(steps if every_step else last)))


def made(kind: str = "LSTM", *, both: bool = False, tokens: bool = False, bias: bool = True) -> Net:
    torch.manual_seed(1)
    net: Net = Net(kind, both=both, tokens=tokens, bias=bias).double()
    with torch.no_grad():
        for array in net.parameters():
            array.normal_()
    return net


def save_safetensors(content: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(content, path)


SAVE: dict[str, Callable[[Any, Path], None]] = {
    "net.pt": torch.save,
    "old.pth": partial(torch.save, _use_new_zipfile_serialization=False),
    "four.bin": partial(torch.save, pickle_protocol=4),
    "net.safetensors": save_safetensors,
}
NETS = [
    *itertools.product(("RNN", "LSTM", "GRU"), (False, True), (True,), (True,)),
    ("LSTM", True, False, False),
    ("GRU", False, False, False),
]


def difference(taken: ImportedModel, net: Net, *, tokens: bool, **options: bool) -> float:
    rng = np.random.default_rng(0)
    batch: Any = rng.integers(7, size=(3, 6)) if tokens else rng.standard_normal((3, 6, 3))
    found = reference.run(taken.program.network, dict(taken.arrays), batch).output
    with torch.no_grad():
        expected = net(torch.from_numpy(batch), **options).numpy()
    return float(abs(found - expected).max())


@pytest.mark.parametrize(("kind", "both", "tokens", "bias"), NETS)
def test_it_computes_the_same(
    tmp_path: Path, kind: str, both: bool, tokens: bool, bias: bool
) -> None:
    net = made(kind, both=both, tokens=tokens, bias=bias)
    for name, save in SAVE.items():
        save(net.state_dict(), tmp_path / name)
        taken = take(tmp_path / name)
        assert difference(taken, net, tokens=tokens) < 1e-12
        assert taken.program.network == pipeline.reads(taken.text).network
        assert "# guessed: hidden: relu" in taken.text


def test_a_spec_says_what_a_state_dict_does_not(tmp_path: Path) -> None:
    net = made("GRU", both=True)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    text = take(tmp_path / "net.pt").text.replace("head:\n", "head:\n  pooling: none\n")
    taken = take(tmp_path / "net.pt", spec=pipeline.reads(text))
    assert difference(taken, net, tokens=False, every_step=True) < 1e-12
    assert not taken.imported.guesses


def test_prefixes_and_what_was_saved_beside(tmp_path: Path) -> None:
    net = made()
    state = {f"module.model.{name}": array for name, array in net.state_dict().items()}
    state["module.model.steps"] = torch.tensor(3)
    state["module.model._extra_state"] = {"a": 1}
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 2, 3).double()).sum().backward()
    optimizer.step()
    content = {"epoch": 3, "model_state": state, "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "net.ckpt")
    taken = take(tmp_path / "net.ckpt")
    # The optimizer changed the parameters in place, and so the arrays that were saved.
    assert difference(taken, net, tokens=False) < 1e-12
    assert taken.imported.form == "state dict of PyTorch, under model_state"
    beside = "(saved beside the state dict)"
    assert taken.imported.left_out == (
        f"epoch {beside}",
        f"optimizer {beside}",
        "module.model._extra_state (not a tensor)",
        "module.model.steps (a buffer of integers)",
    )


def test_views_halves_and_shared_memory(tmp_path: Path) -> None:
    net = made()
    state = net.state_dict()
    wide = torch.randn(16, 8).double()
    state["rnn.weight_ih_l1"] = wide.t()[:4].t()
    state["hidden.weight"] = state["hidden.weight"].bfloat16()
    state["out.weight"] = state["out.weight"].half()
    torch.save(state, tmp_path / "net.pt")
    net.load_state_dict(state)
    assert difference(take(tmp_path / "net.pt"), net, tokens=False) < 1e-12


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a module": (lambda _: made(), "received an object of class .*Net, expected a state dict"),
    "a list": (lambda state: list(state.values()), "received a list of tensors without names"),
    "another mapping": (lambda _: {"a": 1}, "expected a state dict with .*, received a"),
    "two": (lambda s: {"a": s, "b": dict(s)}, "expected one state dict, received a and b"),
    "infinity": (lambda s: {**s, "out.bias": torch.full((2,), torch.inf)}, "finite numbers"),
    "infinities of a sum": (lambda s: {
        **s, "rnn.bias_ih_l0": s["rnn.bias_ih_l0"] + torch.inf,
        "rnn.bias_hh_l0": s["rnn.bias_hh_l0"] - torch.inf}, "finite numbers"),
    "conv": (lambda s: {**s, "conv.weight": torch.zeros(2, 3, 4)}, r"conv: .*\(2, 3, 4\)"),
    "projection": (lambda s: {**s, "rnn.weight_hr_l0": torch.zeros(2, 4)}, "rnn: proj_size"),
    "a layer": (lambda s: {**s, "rnn.bias_ih_l1_reverse": torch.zeros(16)}, "in each direction"),
    "a size": (lambda s: {**s, "out.weight": torch.zeros(2, 6)}, "expected 5 inputs"),
    "cells": (lambda s: {**s, "rnn.weight_hh_l0": torch.zeros(10, 4)}, r"received \(10, 4\)"),
    "sparse": (lambda s: {**s, "q": torch.zeros(2).to_sparse()}, "expected a dense tensor"),
}  # fmt: skip


@cases(("content", "message"), REFUSED)
def test_refused(tmp_path: Path, content: Callable[[dict[str, Any]], Any], message: str) -> None:
    torch.save(content(made().state_dict()), tmp_path / "net.pt")
    with pytest.raises((ModelError, UsageError), match=message):
        take(tmp_path / "net.pt")


def test_a_spec_of_another_network(tmp_path: Path) -> None:
    torch.save(made("GRU").state_dict(), tmp_path / "net.pt")
    text = take(tmp_path / "net.pt").text
    for old, new, message, codes in (
        # The hidden layer behind it has other sizes too.
        ("units: 4", "units: 5", r"expected gru_1 with weight_ih \(15, 3\)", ["E707"] * 3),
        ("units: 4", "units: 4, reset_after: false", "resets after the product", ["E703"] * 2),
        ("layers: 2", "layers: 1", "expected gru_1 alone, received 2 layers", ["E707"]),
        ("layers: 2", "layers: 3", "expected the arrays of gru_3, .* received none", ["E705"]),
    ):
        assert old in text
        spec = pipeline.reads(text.replace(old, new, 1).replace("expect:", "# expect:"))
        with pytest.raises(ModelError, match=message) as caught:
            take(tmp_path / "net.pt", spec=spec)
        assert [problem.code for problem in caught.value.problems] == codes


def test_other_numbers_of_layers_are_one_sentence(tmp_path: Path) -> None:
    torch.save(made().state_dict(), tmp_path / "net.pt")
    text = take(tmp_path / "net.pt").text.replace("expect:", "# expect:")
    one = text.replace("layers: 2, ", "").replace("layers: 2}", "}")
    with pytest.raises(ModelError) as raised:
        take(tmp_path / "net.pt", spec=pipeline.reads(one))
    message = "rnn: expected lstm_1 alone, received 2 layers in a row [E707]"
    assert str(raised.value).partition("error: ")[2] == message


def with_others() -> dict[str, Any]:
    """Return a state dict in which nothing uses three of the arrays."""
    others = {"similarity_w": torch.tensor(1.0), "similarity_b": torch.tensor(0.0)}
    return {**made().state_dict(), **others, "aux.weight": torch.zeros(2, 3, 4)}


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_arrays_that_nothing_uses_are_left_out_on_request(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    SAVE[name](with_others() | {"out.steps": torch.tensor(3)}, path)
    with pytest.raises(ModelError) as raised:
        take(path)
    for option in ("--ignore similarity_b", "--ignore similarity_w", "--ignore 'aux.*'"):
        assert option in str(raised.value)
    taken = take(path, ignore=("similarity_*", "aux.weight", "out.steps"))
    assert difference(taken, made(), tokens=False) < 1e-12
    assert sorted(taken.imported.left_out) == [
        "aux.weight (left out by --ignore)",
        "out.steps (left out by --ignore)",
        "similarity_b (left out by --ignore)",
        "similarity_w (left out by --ignore)",
    ]


@cases(
    ("pattern", "message"),
    [
        (
            "zzz*",
            r"--ignore 'zzz\*' matches no array; the file has rnn.weight_ih_l0, .* and 7 more",
        ),
        ("out.bias", "out: needs bias, which --ignore leaves out; leave out all of its arrays"),
        ("rnn.bias_hh_l1", "rnn: needs bias_hh_l1, which --ignore leaves out"),
        (
            "rnn.*",
            "expected a recurrent layer, received none; --ignore leaves out .*rnn.weight_ih_l0",
        ),
        ("hidden.*", "out: expected 4 inputs"),
    ],
)
def test_what_the_network_needs_is_not_left_out(tmp_path: Path, pattern: str, message: str) -> None:
    torch.save(with_others(), tmp_path / "net.pt")
    with pytest.raises((ModelError, UsageError), match=message):
        take(tmp_path / "net.pt", ignore=("similarity_*", "aux.*", pattern))


def test_a_file_of_safetensors_without_a_recurrent_layer(tmp_path: Path) -> None:
    save_safetensors({"fc.weight": torch.zeros(2, 3)}, tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match=r"state dict with a recurrent layer .*received fc.weight"):
        import_file(tmp_path / "net.safetensors")


@cases(
    ("second", "guess"),
    [
        (1, "layers.0: no activation: layers.1 has the next number in one container"),
        (2, "layers.0: relu"),
    ],
)
def test_neighbours_in_one_container_have_no_activation_between(
    tmp_path: Path, second: int, guess: str
) -> None:
    layers: list[Any] = [nn.Linear(4, 5), *[nn.ReLU()] * (second - 1), nn.Linear(5, 2)]
    rnn, net = nn.LSTM(3, 4, batch_first=True), nn.Sequential(*layers)
    state = nn.ModuleDict({"rnn": rnn, "layers": net}).double().state_dict()
    torch.save(state, tmp_path / "net.pt")
    taken = take(tmp_path / "net.pt")
    assert ("head", guess) in taken.imported.guesses
    batch = np.random.default_rng(0).standard_normal((2, 4, 3))
    found = reference.run(taken.program.network, dict(taken.arrays), batch).output
    with torch.no_grad():
        expected = net(rnn(torch.from_numpy(batch))[1][0][-1]).numpy()
    assert abs(found - expected).max() < 1e-12


class Calls:
    """An object whose pickle calls ``os.mkdir``."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_nothing_is_executed(tmp_path: Path) -> None:
    net = made()
    content = {"state_dict": net.state_dict(), "hook": Calls(tmp_path / "made")}
    torch.save(content, tmp_path / "net.pt")
    assert difference(take(tmp_path / "net.pt"), net, tokens=False) < 1e-12
    assert not (tmp_path / "made").exists()


def hostile() -> dict[str, bytes]:
    nested = b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."
    many: Any = {"a": {"b": {"c": {}}}}
    for _ in range(3):
        many = {f"k{number}": many for number in range(400)}
    shared = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 10_000 + b"}h\x00K\x01s."
    return {
        "empty": b"",
        "text": b"hello",
        "memo": b"\x80\x02]r\xff\xff\xff\xff.",
        "no value": b"\x80\x02.",
        "nested": nested,
        "shared parts as a key": shared,
        "mappings in mappings": pickle.dumps(many),
        "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "unknown opcode": b"\x80\x02\x82\x01.",
        "magic alone": pickle.dumps(0x1950A86A20F9469CFC6C),
    }


def compressed(content: dict[str, bytes], path: Path, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, part in content.items():
            archive.writestr(name, part)


@cases("content", hostile())
def test_hostile_pickles(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        take(path)
    compressed({"net/data.pkl": content}, path, zipfile.ZIP_STORED)
    with pytest.raises(UsageError):
        take(path)


def opcodes(*parts: bytes | str | int) -> bytes:
    """Return a pickle; texts and integers are pushed, bytes are opcodes."""
    found = b"\x80\x02"
    for part in parts:
        if isinstance(part, str):
            found += b"X" + len(part.encode()).to_bytes(4, "little") + part.encode()
        elif isinstance(part, int):
            number = part.to_bytes(part.bit_length() // 8 + 1, "little")
            found += b"\x8b" + len(number).to_bytes(4, "little") + number
        else:
            found += part
    return found + b"."


# Tuples that share their parts: as text, each is twice as long as the one in it.
SHARED = b")" + b"q\x000h\x00h\x00\x86" * 12
PAIRS = b"](" + b"](X\x01\x00\x00\x00aNe" * 50 + b"eq\x00"
LARGE = 2**61 - 1  # integers that differ by it have one hash


def tensor(
    shape: tuple[int, ...], stride: tuple[int, ...], key: bytes = b"X\x01\x00\x00\x000"
) -> bytes:
    """Return the opcodes of a tensor in the storage 0."""
    sizes = [b"(" + b"".join(b"I%d\n" % n for n in numbers) + b"t" for numbers in (shape, stride)]
    stored = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + key + b"NI9\ntQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + b"I0\n" + b"".join(sizes) + b"tR"


PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
INNER = "rnn.weight_hh_l0"
DISPROPORTIONATE: dict[str, tuple[bytes, str]] = {
    "a class named by tuples": (opcodes(SHARED, "x", b"\x93"), "whose name is not text"),
    "a long module's name": (opcodes("x" * 2000, b"q\x00h\x00\x93"), "of more than 1,000 letters"),
    "a long integer": (opcodes(2**9_000), "an integer of more than 1,024 bits"),
    "a stored number": (opcodes(b"Np%d\n" % LARGE), f"stored as number {LARGE}"),
    "one list of many mappings": (
        opcodes(PAIRS, b"0(" + b"ccollections\nOrderedDict\nh\x00\x85R" * 200, b"l"),
        "mappings that have the same list of items",
    ),
    "parameters in parameters": (
        opcodes(b"}", INNER, PARAMETER * 9, tensor((2,), (1,)), b"\x85R" * 9, b"s"),
        "rnn.weight_hh_l0: expected a dense tensor of numbers, received .*_rebuild_parameter",
    ),
    "a stride of 0": (
        opcodes(b"}(", INNER, tensor((16, 4), (4, 1)), "rnn.weight_ih_l0",
                tensor((16, 10_000), (0, 0)), b"u"),
        "rnn.weight_ih_l0: expected at least 640,000 bytes of numbers, received 4,096; save a copy",
    ),
    "a storage named by tuples": (
        opcodes(b"}", INNER, tensor((2,), (1,), SHARED), b"s"),
        "rnn.weight_hh_l0: expected the storage of a tensor, received another object",
    ),
    "empty axes": (
        opcodes(b"}", INNER, tensor((2**40, 0, 2**40), (1, 1, 1)), b"s"),
        "rnn.weight_hh_l0: expected the shape of a tensor that fits in memory",
    ),
    "one storage for many tensors": (
        opcodes(b"}(", *[
            part for at in range(2_000) for part in (f"weight_hh_l{at}", tensor((128, 128), (1, 1)))
        ], b"u"),
        "expected tensors of at most .* bytes in a file of .*, received 131,072,000",
    ),
    "many arrays": (
        opcodes(b"}(", *[
            part for at in range(5_001) for part in (f"weight_hh_l{at}", tensor((1,), (1,)))
        ], b"u"),
        "expected at most 5,000 arrays, received 5,001",
    ),
}  # fmt: skip


@cases(("content", "message"), DISPROPORTIONATE)
def test_pickles_out_of_proportion(tmp_path: Path, content: bytes, message: str) -> None:
    parts = {"net/data.pkl": content, "net/data/0": bytes(4096)}
    compressed(parts, tmp_path / "net.pt", zipfile.ZIP_STORED)
    with pytest.raises((ModelError, UsageError), match=message):
        take(tmp_path / "net.pt")


@pytest.mark.parametrize("member", ["net/code/net.py", "net/constants.pkl"])
def test_a_torchscript_program_is_named(tmp_path: Path, member: str) -> None:
    compressed({"net/data.pkl": opcodes(b"}"), member: b""}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r"TorchScript program; save the state_dict\(\) of its"):
        take(tmp_path / "net.pt")


def test_keys_become_text() -> None:
    content = opcodes(b"}(", *[n for at in range(1, 9) for n in (at * LARGE, at)], b"u")
    # Integers can be chosen to have one hash, and then a mapping of them takes forever.
    assert {type(key) for key in read_pickle(BytesIO(content))} == {str}


def test_storages_named_by_tuples_before_zip_archives(tmp_path: Path) -> None:
    values: list[Any] = [0x1950A86A20F9469CFC6C, 1001, {}, {}]
    header = [pickle.dumps(value, 2) for value in values]
    path = tmp_path / "net.pt"
    path.write_bytes(b"".join([*header, opcodes(b"]", SHARED, b"a")]))
    with pytest.raises(UsageError, match="the keys of the storages, a list of strings"):
        take(path)


@cases("name", [name for name in made().state_dict() if "l0" in name])
def test_recurrent_arrays_of_any_shape(tmp_path: Path, name: str) -> None:
    for shape in ((), (17,), (0, 0), (5, 0), (0, 3), (2, 3, 4)):
        torch.save({**made().state_dict(), name: torch.zeros(shape)}, tmp_path / "net.pt")
        with pytest.raises(ModelError, match=name.partition(".")[2]):
            take(tmp_path / "net.pt")


@cases("number", ["00", "\u0660", "1" * 5000])
def test_a_layer_has_one_name(tmp_path: Path, number: str) -> None:
    state = made().state_dict()
    state[f"rnn.weight_hh_l{number}"] = torch.zeros(16, 4)
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(ModelError, match="expected the arrays of nn"):
        take(tmp_path / "net.pt")


def test_a_compressed_file(tmp_path: Path) -> None:
    net, path = made(), tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    compressed(content, path)
    torch.load(path)
    assert difference(take(path), net, tokens=False) < 1e-12
    whole = path.read_bytes()
    for end in range(0, len(whole), 500):
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError):
            take(path)
    compressed(content, path, zipfile.ZIP_LZMA)
    with pytest.raises(UsageError, match="is compressed in an unknown way"):
        take(path)


@cases(
    ("nones", "storages", "message"),
    [
        (2**21, 0, "expected a pickle of at most 1,0.* bytes"),
        (1, 2, "its members are too large for the size of the file"),
    ],
)
def test_compressed_files_out_of_proportion(
    tmp_path: Path, nones: int, storages: int, message: str
) -> None:
    parts = {f"n/data/{number}": bytes(2**26) for number in range(storages)}
    compressed({"n/data.pkl": b"\x80\x02" + b"N" * nones + b".", **parts}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=message):
        take(tmp_path / "net.pt")


def test_a_declared_size_is_held(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    compressed({"n/data.pkl": b"\x80\x02N." + bytes(996), "n/data/0": bytes(2**24)}, path)
    whole = path.read_bytes().replace((2**24).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(whole)
    with pytest.raises(UsageError, match="member n/data/0 is broken"):
        take(path)


def test_two_members_of_one_name(tmp_path: Path) -> None:
    torch.save(made().state_dict(), tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt", "a") as archive, pytest.warns(match="Duplicate"):
        archive.writestr("net/data/0", bytes(9))
    with pytest.raises(UsageError, match="received two of one name"):
        take(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_names_as_long_as_the_file(tmp_path: Path, name: str) -> None:
    long = "x" * 100_000
    for added in ({long: torch.zeros(1)}, {f"{long}.weight": torch.zeros(9, 9)}):
        SAVE[name]({**made().state_dict(), **added}, tmp_path / name)
        with pytest.raises(ModelError) as raised:
            take(tmp_path / name)
        assert len(str(raised.value)) < 2_000
    SAVE[name](
        {f"{long}.{key}": each for key, each in made().state_dict().items()}, tmp_path / name
    )
    imported = take(tmp_path / name).imported
    for text in (
        *(layer.layer for layer in imported.layers),
        *(what for _, what in imported.guesses),
    ):
        assert len(text) < 1_000


@pytest.mark.parametrize("name", SAVE)
def test_a_file_cut_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    SAVE[name](made().state_dict(), path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, max(1, len(whole) // 60)):
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError):
            take(path)


def test_no_framework_is_imported(tmp_path: Path) -> None:
    torch.save(made().state_dict(), tmp_path / "net.pt")
    code = (
        "import sys, pathlib; from rnnspec.importing.run import take; take(pathlib.Path('net.pt'));"
        "print({'torch', 'tensorflow', 'keras', 'pickle'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "torch" not in done.stdout

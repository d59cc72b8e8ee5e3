"""``rnnspec build``: its output, and files that are written completely or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases
from offered import require

import rnnspec
from rnnspec.backends import BACKENDS, having, needs
from rnnspec.backends.c import compiler

# Keras 3.15 has an __array__ method without 'copy', which NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.needs(needs.FILES),
]

Run = Callable[..., Any]
OUTPUT = {each.name: f"made{each.suffix}" for each in having(needs.FILES)}
FOLDERS = [each.name for each in having(needs.FILES) if not each.suffix]
FILES = {
    each.name: {"made", *(f"made/{file.format(name='small')}" for file in each.files)}
    if each.name in FOLDERS
    else {OUTPUT[each.name]}
    for each in having(needs.FILES)
}
TOKENS = np.random.default_rng(0).integers(0, 20, (3, 5)).astype(np.int32)
ALONE = {
    "keras": "y = model.predict_on_batch(x)",
    "torch": "import torch; y = model.eval()(torch.from_numpy(x)).detach().numpy()",
    "jax": "model.eval(); y = numpy.array(model(x))",
    "c": """
import ctypes, os, subprocess
flags = "-std=c99 -O1 -fPIC -shared made/small.c -o small.so -lm"
subprocess.run([os.environ["CC"], *flags.split()], check=True)
run = ctypes.CDLL("./small.so").small_run
y, work = numpy.zeros((3, 1), "float32"), numpy.zeros(100_000, "float32")
for row, result in zip(x, y):
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (row, result, work)]
    assert run(pointers[0], ctypes.c_size_t(5), *pointers[1:]) == 0
""",
    "onnx": "(y,) = session.run(None, {'inputs': x.astype('int64')})",
}


@pytest.fixture(autouse=True)
def _saves(request: pytest.FixtureRequest) -> None:
    if "backend" in request.fixturenames:
        require(request.getfixturevalue("backend"), needs.FILES, request.getfixturevalue("spec"))


def outputs(model: Any, backend: str) -> Any:
    if backend == "keras":
        return model.predict_on_batch(TOKENS)
    if backend == "jax":
        model.eval()
    if backend in ("jax", "onnx", "c"):
        return np.array(model(TOKENS))
    torch = pytest.importorskip("torch")
    return model.eval()(torch.from_numpy(TOKENS)).detach().numpy()


def test_says_which_layers_its_own_backend_runs_step_by_step(run: Run, spec: str) -> None:
    path = Path(spec)
    path.write_text(path.read_text().replace("type: lstm", "type: lstm, activation: hard_sigmoid"))
    for name, is_stepwise in (("torch", True), ("c", False)):
        require(name, needs.FILES, spec)
        ran = run("build", spec, "--backend", name)
        assert ("Run step by step on torch, not fused: lstm_1" in ran.out) == is_stepwise


def test_what_is_written_loads_without_rnnspec(
    run: Run, entries: Run, spec: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("any").touch()
    ran = run("build", spec, "-b", backend, "--seed", 7, "-o", OUTPUT[backend])
    assert (ran.code, ran.err) == (0, "")
    assert "Total parameters: 180\n" in ran.out
    assert f"Built with {BACKENDS[backend].title} " in ran.out
    assert "lstm_1 (LSTM)" in ran.out
    assert entries() == {spec, "any", *FILES[backend]}
    written = {name for name in FILES[backend] if Path(name).is_file()}
    wrote = {line.removeprefix("wrote ") for line in ran.out.splitlines() if "wrote" in line}
    assert wrote == written
    # They have the permissions of any new file.
    modes = {stat.S_IMODE(Path(name).stat().st_mode) for name in (*written, "any")}
    assert len(modes) == 1
    loading = "\n".join(BACKENDS[backend].loading)
    for word in ("load_model", "load_state_dict", "load_file", "InferenceSession", "-O3"):
        assert (word in ran.out) == (word in loading)

    code = ran.out.split("To load it, without rnnspec:\n")[1].splitlines()
    code = ["import numpy", *(line.strip() for line in code), ALONE[backend]]
    with monkeypatch.context() as patch:
        for name in [*sys.modules]:
            if name.partition(".")[0] == "rnnspec":
                patch.setitem(sys.modules, name, None)
        if backend == "c":
            patch.setenv("CC", compiler.command())
        patch.setattr(sys, "path", sys.path.copy())
        # It knows a folder of this name in another one.
        patch.setattr(sys, "path_importer_cache", {})
        sys.modules.pop("small", None)
        names: dict[str, Any] = {"x": TOKENS}
        exec("\n".join(code), names)
        sys.modules.pop("small", None)
    expected = outputs(rnnspec.build(spec, backend, seed=7), backend)
    np.testing.assert_array_equal(names["y"], expected)


def test_nothing_is_replaced_unasked(run: Run, entries: Run, spec: str, backend: str) -> None:
    if backend in FOLDERS:
        Path("made").mkdir()
    own = BACKENDS[backend].files
    old = Path(f"made/{own[-1]}".format(name="small") if backend in FOLDERS else OUTPUT[backend])
    old.write_text("old")
    before = entries()
    ran = run("build", spec, "-b", backend, "-o", OUTPUT[backend])
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"{old}: error: already exists; use --force or force=True to replace it\n"
    assert old.read_text() == "old"
    assert entries() == before
    assert run("build", spec, "-b", backend, "-o", OUTPUT[backend], "--force").code == 0
    assert old.stat().st_size > 1000
    assert entries() == {spec, *FILES[backend]}


def test_other_files_in_a_folder_are_left_alone(run: Run, entries: Run, spec: str) -> None:
    pytest.importorskip("torch")
    Path("made/deep").mkdir(parents=True)
    others = [Path("made/other.py"), Path("made/deep/small.py"), Path("made/small.keras")]
    for other in others:
        other.write_text(other.name)
    for force in ([], ["--force"]):
        assert run("build", spec, "-b", "torch", "-o", "made", *force).code == 0
        assert [other.read_text() for other in others] == [other.name for other in others]
    assert entries() == {spec, "made/deep", *map(str, others), *FILES["torch"]}


@cases("parent, command", product(["none", "small.yaml", "/proc"], ["build", "codegen"]))
def test_a_place_that_cannot_be_written(
    run: Run, entries: Run, spec: str, backend: str, *, command: str, parent: str
) -> None:
    output = f"{parent}/{OUTPUT[backend] if command == 'build' else 'source.txt'}"
    ran = run(command, spec, "-b", backend, "-o", output)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith((f"{parent}: error: ", f"{output}: error: "))
    assert "report" not in ran.err
    assert entries() == {spec}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(run: Run, spec: str, backend: str) -> None:
    Path("closed").mkdir(mode=0o500)
    ran = run("build", spec, "-b", backend, "-o", f"closed/{OUTPUT[backend]}")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "closed: error: no permission to write to this folder\n"
    Path("closed").chmod(0)
    for command in ("build", "codegen"):
        output = f"closed/{OUTPUT[backend] if command == 'build' else 'source.txt'}"
        ran = run(command, spec, "-b", backend, "-o", output)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == f"{output}: error: cannot be written: permission denied\n"
    Path("closed").chmod(0o700)


@contextmanager
def little_space(size: int) -> Iterator[None]:
    """Limit the size of files to ``size`` bytes, which has the effect of a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk(run: Run, entries: Run, spec: str, backend: str, *, old: bool) -> None:
    text = Path(spec).read_text()
    Path(spec).write_text(text.replace("vocabulary: 20", "vocabulary: 200"))
    if old:
        run("build", spec, "-b", backend, "-o", OUTPUT[backend])
    before = {path: Path(path).read_bytes() for path in entries() if Path(path).is_file()}
    with little_space(3000):
        ran = run("build", spec, "-b", backend, "-o", OUTPUT[backend], "--force")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"{OUTPUT[backend]}: error: cannot be written: ")
    assert "file too large" in ran.err
    assert {path: Path(path).read_bytes() for path in before} == before
    assert {path for path in entries() if Path(path).is_file()} == set(before)


def test_a_full_disk_for_source(run: Run, entries: Run, spec: str, backend: str) -> None:
    Path("old.py").write_text("old")
    with little_space(100):
        ran = run("codegen", spec, "-b", backend, "-o", "old.py", "--force")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "old.py: error: cannot be written: file too large\n"
    assert Path("old.py").read_text() == "old"
    assert entries() == {spec, "old.py"}


@cases("rival, force", product(["other.py", "small.safetensors"], [["--force"], []]))
def test_a_folder_that_appears_meanwhile(
    run: Run,
    spec: str,
    *,
    rival: str,
    force: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    path = Path(spec).absolute()
    monkeypatch.chdir(tmp_path)
    sync = os.fsync

    def slow(descriptor: int) -> None:
        if not Path("made").exists():
            Path("made").mkdir()
            Path("made", rival).write_text("theirs")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    ran = run("build", path, "-b", "torch", "-o", "made", *force)
    found = {path.name for path in Path("made").iterdir()}
    if rival == "other.py" or force:
        assert (ran.code, ran.err) == (0, "")
        assert found == {rival, "small.py", "small.safetensors"}
        assert Path("made/small.safetensors").stat().st_size > 1000
    else:
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"made/{rival}: error: already exists: it was created while this ran\n"
        assert found == {rival}
        assert Path("made", rival).read_text() == "theirs"

"""The examples of training: as many processes as one likes take the same steps."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from offered import import_later
from safetensors.numpy import load_file

import_later("matplotlib")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, and torchrun")

FOLDER = Path(__file__).parents[3] / "examples" / "training"
STEPS = ["--steps", "8", "--every", "2", "--optimizer", "sgd", "--rate", "0.5", "--batch", "8"]


def command(script: str, *words: str, under: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *under, str(FOLDER / script), *STEPS, *words]


def run(words: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"} | settings,
    )


def assert_reported(ran: subprocess.CompletedProcess[str], out: Path, suffix: str) -> None:
    """Assert that a run printed a line for each checkpoint, and what it wrote for everyone."""
    *losses, last = ran.stdout.splitlines()
    pattern = r"step (\d) of 8: training \d\.\d{3}, validation \d\.\d{3}"
    steps = [match[1] for line in losses if (match := re.fullmatch(pattern, line))]
    assert steps == ["2", "4", "6", "8"], ran.stdout
    assert last == f"wrote to {out}: {', '.join(sorted(path.name for path in out.iterdir()))}"
    modes = {path.name: path.stat().st_mode for path in out.iterdir()}
    assert f"characters{suffix}" in modes
    assert len(set(modes.values())) == 1, modes


def difference(one: Any, other: Any) -> float:
    assert one.keys() == other.keys()
    return max(float(abs(one[name] - other[name]).max()) for name in one)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def test_pytorch_in_two_processes_and_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    exact = "--dtype", "float64", "--out"
    ran = run(command("train_torch.py", *exact, str(one)))
    assert ran.returncode == 0, ran.stderr
    assert_reported(ran, one, ".safetensors")
    ran = run(command("train_torch.py", *exact, str(two), under=TORCHRUN))
    assert ran.returncode == 0, ran.stderr
    kept = load_file(one / "characters.safetensors")
    assert difference(kept, load_file(two / "characters.safetensors")) < 1e-12
    assert (one / "curve.png").read_bytes().startswith(b"\x89PNG")

    started = command("train_torch.py", *exact, str(killed))
    with subprocess.Popen(started, stdout=subprocess.DEVNULL) as process:
        while not (killed / "checkpoint.pt").exists() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    ran = run(started)
    assert ran.returncode == 0, ran.stderr
    assert difference(kept, load_file(killed / "characters.safetensors")) == 0.0


@pytest.mark.parametrize(
    ("package", "script", "words", "under"),
    [
        ("torch", "train_torch.py", (), TORCHRUN),
        ("flax", "train_jax.py", ("--devices", "2"), ()),
    ],
)
def test_a_batch_that_does_not_divide(
    tmp_path: Path, package: str, script: str, words: tuple[str, ...], under: tuple[str, ...]
) -> None:
    pytest.importorskip(package)
    words = (*words, "--batch", "7", "--out", str(tmp_path / "out"))
    ran = run(command(script, *words, under=under))
    assert ran.returncode != 0
    assert "expected a batch that divides over 2 processes, received 7 sequences" in ran.stderr
    assert not (tmp_path / "out").exists()


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_keras_on_jax_in_two_processes(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    pytest.importorskip("jax")
    address = f"127.0.0.1:{free_port()}"
    one, two = tmp_path / "one", tmp_path / "two"
    ran = run(command("train_keras.py", "--out", str(one)), KERAS_BACKEND="jax")
    assert ran.returncode == 0, ran.stderr
    assert_reported(ran, one, ".keras")
    together = ("--out", str(two), "--processes", "2", "--meet", address, "--rank")
    other = subprocess.Popen(
        command("train_keras.py", *together, "1"),
        env=os.environ | {"KERAS_BACKEND": "jax"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ran = run(command("train_keras.py", *together, "0"), KERAS_BACKEND="jax")
        assert ran.returncode == 0, ran.stderr
        assert other.wait(timeout=60) == 0
    finally:
        other.kill()
    kept, found = (
        {weight.path: weight.numpy() for weight in keras.saving.load_model(path).weights}
        for path in (one / "characters.keras", two / "characters.keras")
    )
    assert difference(kept, found) < 1e-6


def test_jax_on_two_devices_and_in_two_processes_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("flax")
    one, two = tmp_path / "one", tmp_path / "two"
    for words in (["--out", str(one)], ["--out", str(two), "--devices", "2"]):
        ran = run(command("train_jax.py", *words))
        assert ran.returncode == 0, ran.stderr
        assert_reported(ran, Path(words[1]), ".safetensors")
    kept = load_file(one / "characters.safetensors")
    assert difference(kept, load_file(two / "characters.safetensors")) < 1e-6

    killed = tmp_path / "killed"
    first, second = processes = two_processes("train_jax.py", killed)
    try:
        while not (killed / "checkpoint.safetensors").exists() and first.poll() is None:
            time.sleep(0.005)
        second.kill()
        _, said = first.communicate(timeout=60)
    finally:
        stop(processes)
    assert first.returncode == 1
    assert "another process is gone: " in said.splitlines()[-1], said
    # Only a run that goes on from the checkpoint keeps the loss in it.
    losses = json.loads((killed / "losses.json").read_text())
    losses["training"][0] = 1000.0
    (killed / "losses.json").write_text(json.dumps(losses))
    processes = two_processes("train_jax.py", killed)
    try:
        assert [process.wait(timeout=150) for process in processes] == [0, 0]
    finally:
        stop(processes)
    losses = json.loads((killed / "losses.json").read_text())
    assert (losses["steps"], losses["training"][0]) == ([2, 4, 6, 8], 1000.0)
    assert difference(kept, load_file(killed / "characters.safetensors")) < 1e-6


def two_processes(script: str, out: Path) -> list[subprocess.Popen[str]]:
    """Start two processes that train together."""
    words = ("--out", str(out), "--processes", "2", "--meet", f"127.0.0.1:{free_port()}")
    return [
        subprocess.Popen(
            command(script, *words, "--rank", str(rank)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def stop(processes: list[subprocess.Popen[str]]) -> None:
    """End processes that still run."""
    for process in processes:
        with process:
            process.kill()


def test_a_port_in_use(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        words = "--processes", "2", "--rank", "0", "--meet", f"127.0.0.1:{port}"
        ran = run(command("train_keras.py", "--out", str(tmp_path), *words), KERAS_BACKEND="jax")
    assert (ran.returncode, ran.stderr) == (1, f"the port {port} is in use: choose another\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnn: {type: lstm, unit: 3}", "unknown key 'unit'"),
        ("input: {features: 2}\nrnn: {type: lstm, units: 3}", "net: expected a vocabulary of 100"),
        (
            "embedding: {vocabulary: 100, dim: 2}\nrnn: {type: lstm, units: 3}\nhead: {units: 100}",
            "net: expected a vocabulary of 100, and a head with pooling: none",
        ),
        (None, "error: no such file"),
    ],
)
def test_a_spec_that_does_not_fit_is_one_sentence(
    text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    progress, sequences = import_module("progress"), import_module("text")
    path = tmp_path / "net.yaml"
    if text is not None:
        path.write_text(f"version: 1\nname: net\n{text}\n")
    with pytest.raises(SystemExit, match=message), progress.one_sentence():
        sequences.fitting(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "0"], "argument --batch: expected a positive integer, received '0'"),
        (["--every", "-1"], "argument --every: expected a positive integer, received '-1'"),
        (["--processes", "2", "--rank", "2"], "expected a rank from 0 to 1, received 2"),
    ],
)
def test_options_out_of_range(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    with pytest.raises(SystemExit):
        import_module("progress").parallel_options("")
    assert capsys.readouterr().err.endswith(f"train.py: error: {message}\n")


def test_a_killed_worker_of_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    settings = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    words = command("train_torch.py", "--steps", "100000", "--out", str(tmp_path))
    first, second = (
        subprocess.Popen(
            words,
            env=os.environ | settings | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    )
    with first, second:
        while not (tmp_path / "checkpoint.pt").exists() and first.poll() is None:
            time.sleep(0.05)
        second.kill()
        _, said = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "another process is gone: " in said.splitlines()[-1]

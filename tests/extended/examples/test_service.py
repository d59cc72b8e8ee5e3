"""The example of a service: streams over HTTP, with states on the server."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from offered import import_later, require
from pydantic import ValidationError

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.comparison import reference
from rnnspec.weights.initial import draw_fresh

httpx: Any = import_later("httpx")
import_later("fastapi")
import_later("uvicorn")

FOLDER = Path(__file__).parents[3] / "examples" / "streaming"
TOKENS = """\
version: 1
name: tags
embedding: {vocabulary: 7, dim: 3, mask_zero: true}
rnn: {type: gru, units: 4}
head: {pooling: none, units: 2}
"""
SEED = 4


def built(folder: Path, spec: Path) -> Path:
    require("onnx", needs.form("step"))
    made = folder / f"{spec.stem}.onnx"
    words = ["build", str(spec), "--backend", "onnx", "--form", "step", "--seed", str(SEED)]
    command = [sys.executable, "-m", "rnnspec", *words, "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@contextmanager
def started(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the service on a free port, and yield its process and its address."""
    script = FOLDER / "service" / "serve.py"
    command = [sys.executable, str(script), str(model), "--port", "0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        found = (re.search(r"running on (http://\S+)", line) for line in process.stderr)
        address = next(each[1] for each in found if each)
        try:
            yield process, address
        finally:
            process.terminate()


@contextmanager
def served(model: Path, *options: str) -> Iterator[Any]:
    """Start the service, and yield a client of it."""
    with (
        started(model, *options) as (_, address),
        httpx.Client(base_url=address, timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("service")
    options = ("--sessions", "4", "--steps", "50", "--batch", "3", "--body", "20000")
    with served(built(folder, FOLDER / "forecast.yaml"), *options) as client:
        yield client


@pytest.fixture
def session(forecast: Any) -> Iterator[str]:
    key = forecast.post("/sessions", json={}).raise_for_status().json()["session"]
    yield f"/sessions/{key}"
    forecast.delete(f"/sessions/{key}")


def wanted(spec: rnnspec.Spec, batch: Any) -> Any:
    network = pipeline.program(spec).network
    return reference.run(network, draw_fresh(network, SEED), batch).output


def test_chunks_give_what_whole_sequences_give(forecast: Any) -> None:
    opened = forecast.post("/sessions", json={"batch": 2})
    assert opened.status_code == 201
    key, batch = opened.json()["session"], np.random.default_rng(0).normal(size=(2, 23, 1))
    for start, end in ((0, 1), (1, 9), (9, 10), (10, 23)):
        chunk = {"inputs": batch[:, start:end].tolist(), "start": start}
        answer = forecast.post(f"/sessions/{key}/chunks", json=chunk).raise_for_status().json()
        assert answer["steps"] == end
        truth = wanted(rnnspec.load(FOLDER / "forecast.yaml"), batch[:, :end])
        np.testing.assert_allclose(answer["output"], truth, rtol=0, atol=2e-6)
    assert forecast.delete(f"/sessions/{key}").status_code == 204
    assert forecast.post(f"/sessions/{key}/chunks", json=chunk).status_code == 404


ONE = [[[0.5]]]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (
            {"inputs": ONE * 2},
            422,
            "batch size: expected 1, as in the session, received 2",
        ),
        ({"inputs": [[[1.0, 2.0]]]}, 422, "expected at most 1 features at each step, received 2"),
        ({"inputs": [[[]]]}, 422, "features at each step: expected 1, received 0"),
        ({"inputs": ONE * 4}, 422, "expected at most 3 sequences in a batch, received 4"),
        (
            {"inputs": [[[]] * 200]},
            413,
            "expected at most 3 sequences of 50 steps, received 202 lists",
        ),
        ({"inputs": [[]]}, 422, "expected a chunk of one step or more, received none"),
        ({"inputs": [[[1.0], []]]}, 422, "expected as many steps in each sequence, and features"),
        ({"inputs": [[[1e300]]]}, 422, "expected numbers that float32 can hold"),
        ({"inputs": [[["1"]]]}, 422, "inputs.0.0.0: input should be a valid number"),
        ({"inputs": ONE, "states": {}}, 422, "states: extra inputs are not permitted"),
        ({}, 422, "inputs: field required"),
        ({"inputs": ONE, "start": 8}, 409, "expected a chunk that starts at 0, received one at 8"),
        ({"inputs": [[[0.5]] * 51]}, 413, "expected at most 50 steps in a chunk, received 51"),
        ({"inputs": [[[0.5]] * 5000]}, 413, "expected at most 20000 bytes, received "),
    ],
)
def test_a_chunk_that_does_not_fit(
    forecast: Any, session: str, body: Any, status: int, sentence: str
) -> None:
    answer = forecast.post(f"{session}/chunks", json=body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)
    after = forecast.post(f"{session}/chunks", json={"inputs": ONE, "start": 0}).json()
    truth = wanted(rnnspec.load(FOLDER / "forecast.yaml"), np.array(ONE))
    np.testing.assert_allclose(after["output"], truth, rtol=0, atol=2e-6)


def test_text_that_is_no_json(forecast: Any, session: str) -> None:
    words = "expected JSON, with the header Content-Type: application/json"
    for content, kind in ((b"{", "application/json"), (b'{"inputs": [[[1.0]]]}', "text/plain")):
        headers = {"content-type": kind}
        answer = forecast.post(f"{session}/chunks", content=content, headers=headers)
        assert (answer.status_code, answer.json()) == (422, {"detail": words})
    stream = iter([b'{"inputs": [[[1.0]]]}'])
    assert forecast.post(f"{session}/chunks", content=stream).status_code == 411


@pytest.mark.parametrize("content", [b"\xff", b"[" * 150, b"1" * 5000, b"null"])
def test_a_body_that_is_no_object(forecast: Any, session: str, content: bytes) -> None:
    for path in ("/sessions", f"{session}/chunks"):
        headers = {"content-type": "application/json"}
        answer = forecast.post(path, content=content, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["detail"]


def test_the_check_of_a_chunk_ends_at_the_first_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER / "service")
    serve, sessions = import_module("serve"), import_module("sessions")
    model = SimpleNamespace(vocabulary=0, features=2)
    chunk = serve.chunk_type(model, sessions.Limits(batch=100, steps=100))
    for inputs in ([[["a"] * 2] * 100] * 100, [[1] * 100] * 100, [1] * 100):
        with pytest.raises(ValidationError) as raised:
            chunk.model_validate_json(json.dumps({"inputs": inputs}))
        assert raised.value.error_count() == 1


def test_an_interrupt_does_not_wait_for_a_slow_client(tmp_path: Path) -> None:
    head = b"POST /sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with started(built(tmp_path, FOLDER / "forecast.yaml")) as (process, address):
        host, _, port = address.rpartition("/")[2].partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head + b"Content-Length: 100\r\n\r\n{")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--idle", "nan"), "expected a positive number of seconds, received 'nan'"),
        (("--idle", "inf"), "expected a positive number of seconds, received 'inf'"),
        (("--body", "-5"), "expected a positive integer, received '-5'"),
        (("--steps", "0"), "expected a positive integer, received '0'"),
        (("--port", "65536"), "expected a port from 0 to 65535, received '65536'"),
        ((), "expected an ONNX model; ONNX Runtime says: "),
    ],
)
def test_options_and_files_that_are_refused(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "text.onnx").write_text("text")
    command = [sys.executable, str(FOLDER / "service" / "serve.py"), str(tmp_path / "text.onnx")]
    ran = subprocess.run(
        [*command, *words], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert message in ran.stderr.splitlines()[-1]


def test_sessions_have_limits(forecast: Any) -> None:
    answer = forecast.post("/sessions", json={"batch": 4})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "expected a batch of 1 to 3 sequences, received 4"
    opened = [forecast.post("/sessions") for _ in range(5)]
    assert [each.status_code for each in opened] == [201] * 4 + [503]
    assert opened[4].json()["detail"] == "all 4 sessions are in use; delete one, or wait"
    assert forecast.get("/health").json() == {"status": "ok", "model": "forecast", "sessions": 4}
    for each in opened[:4]:
        assert forecast.delete(f"/sessions/{each.json()['session']}").status_code == 204
    gone = forecast.delete("/sessions/nowhere")
    assert gone.status_code == 404
    assert gone.json()["detail"].startswith("there is no session nowhere: it was deleted, or idle")


def test_concurrent_chunks_of_one_session(forecast: Any, session: str) -> None:
    def send(_: int) -> tuple[int, float]:
        answer = forecast.post(f"{session}/chunks", json={"inputs": [[[0.5]] * 3]}).json()
        return answer["steps"], answer["output"][0][0]

    with ThreadPoolExecutor(8) as pool:
        answers = dict(pool.map(send, range(16)))
    assert sorted(answers) == list(range(3, 49, 3))
    spec = rnnspec.load(FOLDER / "forecast.yaml")
    for steps, output in answers.items():
        truth = wanted(spec, np.full((1, steps, 1), 0.5))
        np.testing.assert_allclose([[output]], truth, rtol=0, atol=2e-6)


def test_tokens_and_idle_sessions(tmp_path: Path) -> None:
    spec = tmp_path / "tags.yaml"
    spec.write_text(TOKENS)
    batch = np.array([[3, 0, 6, 1], [0, 0, 5, 2]])
    with served(built(tmp_path, spec), "--idle", "0.5") as client:
        key = client.post("/sessions", json={"batch": 2}).json()["session"]
        path, found = f"/sessions/{key}/chunks", []
        for token in (7, -1, 10**30):
            answer = client.post(path, json={"inputs": [[1], [token]]})
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith("expected ")
        for chunk in (batch[:, :1], batch[:, 1:]):
            found += client.post(path, json={"inputs": chunk.tolist()}).json()["output"]
        outputs = np.concatenate([found[:2], found[2:]], axis=1)
        truth = wanted(rnnspec.load(spec), batch)
        np.testing.assert_allclose(outputs[batch != 0], truth[batch != 0], rtol=0, atol=2e-6)
        while client.get("/health").json()["sessions"]:
            time.sleep(0.05)
        assert client.post(path, json={"inputs": [[1], [1]]}).status_code == 404


HEADS = """\
version: 1
name: both
input: {features: 2}
rnn: {type: gru, units: 4, initial_state: zeros}
heads: {voice: {units: 1}, gains: {pooling: none, units: 3}}
"""


def test_several_heads_are_answered_by_name(tmp_path: Path) -> None:
    (tmp_path / "both.yaml").write_text(HEADS)
    batch = np.random.default_rng(0).normal(size=(1, 5, 2))
    with served(built(tmp_path, tmp_path / "both.yaml")) as client:
        key = client.post("/sessions", json={}).raise_for_status().json()["session"]
        parts = [
            client.post(f"/sessions/{key}/chunks", json={"inputs": steps.tolist()}).json()["output"]
            for steps in (batch[:, :2], batch[:, 2:])
        ]
    voice, gains = np.split(wanted(rnnspec.load(tmp_path / "both.yaml"), batch), [1], axis=1)
    np.testing.assert_allclose(parts[1]["voice"], voice, rtol=0, atol=2e-6)
    joined = np.concatenate([part["gains"] for part in parts], axis=1)
    np.testing.assert_allclose(joined.reshape(1, -1), gains, rtol=0, atol=2e-6)


def test_a_network_with_more_inputs_is_refused(tmp_path: Path) -> None:
    spec = HEADS.replace("zeros", "given")
    (tmp_path / "both.yaml").write_text(spec)
    made = built(tmp_path, tmp_path / "both.yaml")
    script = FOLDER / "service" / "serve.py"
    ran = subprocess.run(
        [sys.executable, str(script), str(made)], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "expected a network that takes nothing but its stream" in ran.stderr


def test_a_model_in_another_form_is_refused(tmp_path: Path) -> None:
    require("onnx")
    made = tmp_path / "plain.onnx"
    spec = str(FOLDER / "forecast.yaml")
    command = [sys.executable, "-m", "rnnspec", "build", spec, "--backend", "onnx", "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    script = str(FOLDER / "service" / "serve.py")
    command = [sys.executable, script, str(made)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "expected a model in step form, of rnnspec build --form step\n" in ran.stderr

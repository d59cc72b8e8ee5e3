"""The examples of C: an effect over sound, a sketch, C++, and programs for microcontrollers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import needs
from rnnspec.comparison import reference
from rnnspec.weights.initial import draw_fresh

pytestmark = pytest.mark.skipif(os.name != "posix", reason="make, and its paths")

FOLDER = Path(__file__).parents[3] / "examples"
SPEC = FOLDER / "audio" / "amplifier.yaml"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
CROSS = "arm-none-eabi-gcc", "arm-none-eabi-nm", "qemu-system-arm"


def tools(*names: str) -> None:
    """Skip a test whose programs are not all there."""
    require("c", needs.form("step"))
    if lacking := [name for name in names if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(lacking)}")


def run(*words: str | Path, status: int = 0) -> str:
    """Run a command, and return what it printed; of one that fails, the error."""
    done = subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


def make(example: str, build: Path, *words: str) -> str:
    """Make an example in a copy of its folder, which must need nothing beside it."""
    copy = build / "copy"
    shutil.copytree(FOLDER / example, copy, ignore=shutil.ignore_patterns("build"))
    rnnspec_command = f"RNNSPEC={sys.executable} -m rnnspec"
    return run(
        "make", "--no-print-directory", "-C", copy, f"BUILD={build}", rnnspec_command, *words
    )


def build(out: Path, *options: str) -> None:
    words = ("--backend", "c", "--form", "step", "--seed", "1", *options)
    run(sys.executable, "-m", "rnnspec", "build", SPEC, *words, "-o", out)


def outputs(samples: Any) -> Any:
    """Return what the reference makes of sequences of samples, shape (batch, steps)."""
    network = pipeline.program(rnnspec.load(SPEC)).network
    batch = np.asarray(samples, dtype=float)[:, :, None]
    return reference.run(network, draw_fresh(network, 1), batch).output[:, :, 0]


@pytest.fixture(scope="module")
def effect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tools("make", "cc")
    folder = tmp_path_factory.mktemp("audio")
    pattern = r"2 channels, 3\.0 s at 48000 Hz, in \d+\.\d\d s: a real-time factor of \d+\.\d{3}"
    printed = make("audio", folder, "CFLAGS=-O3 -Werror")
    assert re.fullmatch(pattern, printed.splitlines()[-1])
    return folder / "effect"


def test_an_effect_of_trained_weights(tmp_path: Path) -> None:
    tools("make", "cc")
    require("torch")
    *_, last = re.findall(
        r"error-to-signal ratio (.+)",
        make("audio", tmp_path, "trained", f"PYTHON={sys.executable}"),
    )
    assert float(last) < 0.01
    chord, amplified = sound_files(tmp_path)
    # The target of train.py, which starts from silence too.
    filtered, target = 0.0, []
    for sample in np.tanh(6 * chord[:2000] + 0.4) - np.tanh(0.4):
        filtered = filtered + 0.4 * (sample - filtered)
        target.append(0.5 * filtered)
    error = amplified[100:2000] - target[100:]
    assert np.square(error).sum() / np.square(target[100:]).sum() < 0.02


def sound_files(folder: Path) -> tuple[Any, Any]:
    """Return the chord and the output of the effect, shape (frames, channels)."""
    with wave.open(str(folder / "chord.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 48_000)
        chord = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    return chord, np.fromfile(folder / "amplified.wav", "<f4", offset=44).reshape(-1, 2)


def write_wav(path: Path, samples: Any, width: int = 2) -> bytes:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(44_100)
        file.writeframes(samples.tobytes())
    return path.read_bytes()


def test_the_effect_takes_a_step_for_each_sample_of_each_channel(
    effect: Path, tmp_path: Path
) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, (400, 3)).astype("<i2")
    samples[:2] = [[-32768, 32767, 0], [32767, -32768, -1]]
    content = write_wav(tmp_path / "in.wav", samples)
    # Files of other programs have chunks that nobody needs, padded to an even length.
    extra = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    (tmp_path / "in.wav").write_bytes(content[:12] + extra + content[12:])
    assert run(effect, tmp_path / "in.wav", tmp_path / "out.wav").startswith("3 channels, 0.0 s at")
    written = (tmp_path / "out.wav").read_bytes()
    assert len(written) == 44 + 4 * samples.size
    assert int.from_bytes(written[20:22], "little") == 3
    found = np.frombuffer(written[44:], "<f4").reshape(samples.shape)
    np.testing.assert_allclose(found.T, outputs(samples.T / 32768), rtol=0, atol=1e-5)


def test_the_chord_decays(effect: Path) -> None:
    chord, amplified = sound_files(effect.parent)
    assert 0.2 < abs(chord[:4800]).max() < 0.95
    assert 0.001 < abs(chord[-4800:]).max() < 0.05
    assert amplified.shape == chord.shape
    np.testing.assert_allclose(amplified[:500].T, outputs(chord[:500].T), rtol=0, atol=1e-5)


def test_files_that_are_no_sound(effect: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "in.wav", tmp_path / "out.wav"
    assert run(effect, path, out, status=1) == f"{path}: cannot be opened\n"
    whole = write_wav(path, np.zeros((10, 2), "<i2"))
    for content, problem in (
        (b"", "expected a WAV file"),
        (whole[:30], "expected 16-bit PCM"),
        (whole[:12] + whole[36:], "expected a format before the samples"),
        (whole[:-1], "the samples end early"),
        (whole[:40] + b"\xff" * 4, "the samples end early"),
        (whole[:36], "expected samples"),
        (write_wav(path, np.zeros((10, 9), "<i2")), "expected at most 8 channels"),
        (write_wav(path, np.zeros((10, 1), "u1"), width=1), "expected 16-bit PCM"),
    ):
        path.write_bytes(content)
        assert run(effect, path, out, status=1) == f"{path}: {problem}\n"
    assert not out.exists()
    path.write_bytes(whole)
    assert run(effect, path, tmp_path / "no" / "out.wav", status=1).endswith("cannot be written\n")


def test_two_voices_in_cpp(tmp_path: Path) -> None:
    tools("g++")
    build(tmp_path / "amplifier.h", "--single-header")
    words = ("g++", "-std=c++11", *STRICT, "-I", tmp_path)
    run(*words, FOLDER / "embedded" / "two_voices.cpp", "-o", tmp_path / "voices")
    found = [
        [float(word) for word in line.split()] for line in run(tmp_path / "voices").splitlines()
    ]
    truth = outputs([[0.25] * 4, [-0.25] * 4])
    np.testing.assert_allclose(np.transpose(found), truth, rtol=0, atol=1e-6)


ARDUINO = """\
#include <cstdio>
const int A0 = 14;
inline int analogRead(int) { return 640; }
inline unsigned long micros() { return 0; }
inline void delay(unsigned long) {}
struct {
    void begin(long) {}
    void print(const char *text) { std::fputs(text, stdout); }
    void print(double number, int digits) { std::printf("%.*f", digits, number); }
    void println(const char *text) { std::puts(text); }
    void println(unsigned long number) { std::printf("%lu\\n", number); }
} Serial;
void setup();
void loop();
int main() {
    setup();
    for (int i = 0; i < 3; ++i) {
        loop();
    }
}
"""


def test_a_sketch_for_arduino(tmp_path: Path) -> None:
    tools("cc", "g++")
    build(tmp_path, "--target", "cortex-m")
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    sketch = FOLDER / "embedded" / "amplifier_sketch" / "amplifier_sketch.ino"
    run("cc", "-std=c99", *STRICT, "-c", tmp_path / "amplifier.c", "-o", tmp_path / "amplifier.o")
    words = ("g++", "-std=c++11", *STRICT, "-I", tmp_path, "-include", "Arduino.h", "-x", "c++")
    run(*words, sketch, "-x", "none", tmp_path / "amplifier.o", "-o", tmp_path / "sketch")
    first, *rest = run(tmp_path / "sketch").splitlines()
    assert first == "self-test: equal"
    found = [float(line.removesuffix(" after us: 0")) for line in rest]
    np.testing.assert_allclose([found], outputs([[0.25] * 3]), rtol=0, atol=1e-6)


CHARACTERS = " 0123456789abcdefghijklmnopqrstuvwxyz,./-'"
BEGIN, END, LONGEST = 1, 2, 12
SEED = 37
"""With weights of it, a beam has an end among the likeliest first characters."""


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that translates, of drawn weights: those that are trained are certain."""
    tools("cc")
    folder, example = tmp_path_factory.mktemp("translate"), FOLDER / "translate"
    words = (
        "--backend",
        "c",
        "--form",
        "step",
        "--seed",
        str(SEED),
        "--max-steps",
        "32",
        "-o",
        folder,
    )
    spec = example / "date_translator.yaml"
    run(sys.executable, "-m", "rnnspec", "build", spec, *words, "--force")
    sources = example / "generate.c", folder / "date_translator.c"
    include = "-I", folder
    run("cc", "-std=c99", *STRICT, "-O2", *include, *sources, "-o", folder / "generate", "-lm")
    return folder / "generate"


def scores_after(text: str, tokens: list[int]) -> Any:
    """Return the log-probabilities of what follows, from a whole sequence in the reference."""
    network = pipeline.program(rnnspec.load(FOLDER / "translate" / "date_translator.yaml")).network
    source = [[1 + CHARACTERS.index(character) for character in text]]
    batch = {"source": np.array(source), "target": np.array([[BEGIN, *tokens]])}
    return reference.run(network, draw_fresh(network, SEED), batch).output[0, -1]


def search(text: str, width: int) -> str:
    """Return what is best among all ways on from what was best before."""
    beams = [(0.0, list[int]())]
    for _ in range(LONGEST):
        ways = [beam for beam in beams if END in beam[1]]
        for total, tokens in beams:
            if END not in tokens:
                scores = scores_after(text, tokens)
                ways += [(total + score, [*tokens, token]) for token, score in enumerate(scores)]
        beams = sorted(ways, key=lambda way: -way[0] / len(way[1]))[:width]
    return write_target(beams[0][1])


def write_target(tokens: list[int]) -> str:
    ended = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join("???0123456789-"[token] for token in ended)


@pytest.mark.parametrize("width", [1, 3])
def test_translations_are_the_best_that_a_beam_finds(translator: Path, width: int) -> None:
    for text in ("3 may 1999", "dec. 31, 2049"):
        assert run(translator, str(width), text).strip() == search(text, width)


def test_characters_are_drawn_as_likely_as_they_are(translator: Path) -> None:
    text, number, temperature = "3 may 1999", 2000, 0.5
    assert run(translator, "-t", "0.0001", text) == run(translator, "1", text)
    lines = run(translator, "-t", str(temperature), *[text] * number).split("\n")[:-1]
    shares = np.exp(scores_after(text, []) / temperature)
    shares /= shares.sum()
    for token in range(3, 14):
        drawn = sum(line.startswith("0123456789-"[token - 3]) for line in lines)
        deviation = np.sqrt(number * shares[token] * (1 - shares[token]))
        assert abs(drawn - number * shares[token]) < 4 * deviation
    assert len(lines) == number


BOARD = """\
#include "board.h"
#include <stdio.h>
void board_start(void) {}
uint32_t board_stop(void) { return 7; }
void board_report(float difference, uint32_t instructions, size_t kept) {
    printf("%d %u %u\\n", difference < 1e-6f, (unsigned)instructions, (unsigned)kept);
}
"""


@pytest.mark.parametrize(
    ("network", "kept"), [("amplifier", 320), ("noise_suppression_gru", 672), ("gesture", None)]
)
def test_a_program_of_a_microcontroller_runs_here_too(
    network: str, kept: int | None, tmp_path: Path
) -> None:
    tools("make", "cc")
    make("embedded", tmp_path, f"{tmp_path}/{network}.c")
    (tmp_path / "board.c").write_text(BOARD)
    example = FOLDER / "embedded"
    sources = (example / f"run_{network}.c", tmp_path / f"{network}.c", tmp_path / "board.c")
    for command in (("cc", "-std=c99"), ("g++", "-std=c++11", "-x", "c++")):
        if shutil.which(command[0]):
            include = ("-I", tmp_path, "-I", example)
            run(*command, *STRICT, *include, *sources, "-o", tmp_path / "run")
            equal, instructions, bytes_kept = run(tmp_path / "run").split()
            assert (equal, instructions) == ("1", "7")
            assert kept in (int(bytes_kept), None)


def test_the_networks_of_microcontrollers_are_those_of_other_folders() -> None:
    for name in ("examples/audio/amplifier.yaml", "specs/noise_suppression_gru.yaml"):
        original = FOLDER.parent / name
        assert (FOLDER / "embedded" / original.name).read_bytes() == original.read_bytes()


def test_microcontrollers_in_qemu(tmp_path: Path) -> None:
    tools("make", *CROSS)
    report = make("embedded", tmp_path)
    pattern = r"""(\w+) on (M\w+), -O2
  self-test: off by (\d+)e-9 at most
  one call: (\d+) instructions
  RAM: (\d+) bytes of stack, (\d+) kept by the caller
  flash: (\d+) bytes of code, (\d+) of constants
"""
    rows = {row[:2]: [int(number) for number in row[2:]] for row in re.findall(pattern, report)}
    assert len(rows) == 6
    assert all(difference < 1000 for difference, *_ in rows.values())
    readme = (FOLDER / "embedded" / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(pattern, readme)
    # Another version of the compiler makes more or less of it.
    told = [int(number) for number in shown[3:]]
    np.testing.assert_allclose(rows["amplifier", "M4F"][1:], told, rtol=0.25)
    for chip in ("M4F", "M7"):
        _, instructions, stack, _, code, _ = rows["amplifier", chip]
        assert instructions < 28_000
        assert stack < 1000
        assert code < 3000

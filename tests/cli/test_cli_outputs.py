"""Commands that write: inputs and files of other programs are kept, and exit codes are right."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from offered import require

from rnnspec.backends import get
from rnnspec.backends.needs import FILES

Run = Callable[..., Any]


@pytest.fixture
def spec() -> str:
    """A spec with the two input files that it names."""
    Path("words.txt").write_text("the\nof\nand\n")
    Path("vectors.txt").write_text("of 0.5 0.25\nthe 1 2\n")
    Path("net.yaml").write_text(
        "version: 1\nname: small\nrnn: {type: simple, units: 2}\n"
        "embedding: {vocabulary: 5, dim: 2, weights: vectors.txt, words: words.txt}\n"
    )
    return "net.yaml"


@pytest.fixture
def contents() -> Callable[[], dict[str, bytes]]:
    """Return the contents of every file below the current folder."""
    return lambda: {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


INPUTS = {
    "net.yaml": "the input net.yaml",
    "words.txt": "embedding.words of net.yaml",
    "vectors.txt": "embedding.weights of net.yaml",
}


@cases(
    "name, way, force",
    [
        *((name, "path", ["--force"]) for name in INPUTS),
        ("words.txt", "other path", ["--force"]),
        ("net.yaml", "link", ["--force"]),
        ("words.txt", "link", ["--force"]),
        ("words.txt", "hard link", ["--force"]),
        ("net.yaml", "hard link", []),
        ("net.yaml", "path", []),
    ],
)
def test_a_source_replaces_no_input(
    run: Run, contents: Run, spec: str, *, name: str, way: str, force: list[str]
) -> None:
    Path("folder").mkdir(exist_ok=True)
    Path("other.py").unlink(missing_ok=True)
    target = {"path": name, "other path": f"folder/../{name}"}.get(way, "other.py")
    if way == "link":
        Path(target).symlink_to(name)
    if way == "hard link":
        Path(target).hardlink_to(name)
    before = contents()
    ran = run("codegen", spec, "-b", "torch", "-o", target, *force)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (f"{target}: error: this is {INPUTS[name]}; expected another path\n")
    assert contents() == before


@cases("target", ["net.yaml", "words.txt", "."])
def test_what_standard_input_reads_is_an_input(
    run: Run, contents: Run, spec: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if target == ".":
        Path("small.py").hardlink_to(spec)
    before, descriptor = contents(), os.dup(0)
    with Path(spec).open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        os.dup2(stdin.fileno(), 0)
        try:
            ran = run("codegen", "-", "-b", "torch", "-o", target, "--force")
        finally:
            os.dup2(descriptor, 0)
            os.close(descriptor)
    title = "embedding.words of <stdin>" if target == "words.txt" else "standard input"
    assert (ran.code, ran.out) == (2, "")
    assert f": error: this is {title}; expected another path" in ran.err
    assert contents() == before


@pytest.mark.needs(FILES)
@pytest.mark.parametrize("key", ["weights", "words", "spec"])
def test_a_model_replaces_no_input(
    run: Run, contents: Run, spec: str, backend: str, key: str
) -> None:
    require(backend, FILES, spec)
    suffix, files = get(backend).suffix, get(backend).files
    name = f"small{suffix}" if suffix else files[0 if key == "spec" else -1].format(name="small")
    old = {"weights": "vectors.txt", "words": "words.txt", "spec": spec}[key]
    Path(old).rename(name)
    if key == "spec":
        spec = name
    else:
        Path(spec).write_text(Path(spec).read_text().replace(old, name))
    before = contents()
    output = name if suffix else "."
    ran = run("build", spec, "-b", backend, "-o", output, "--force")
    title = f"the input {name}" if key == "spec" else f"embedding.{key} of {spec}"
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"{name}: error: this is {title}; expected another path")
    assert contents() == before


def test_no_folder_of_sources_replaces_an_input(run: Run, contents: Run, spec: str) -> None:
    Path("words.txt").rename("small.py")
    Path(spec).write_text(Path(spec).read_text().replace("words.txt", "small.py"))
    Path("foreign.yaml").write_text("on: push\njobs: {}\n")
    before = contents()
    for target, title in (
        (".", f"embedding.words of ./{spec}"),
        ("foreign.yaml", "the input ./for"),
    ):
        ran = run("codegen", ".", "-b", "keras", "-o", target, "--force")
        assert (ran.code, ran.out) == (2, "")
        assert f": error: this is {title}" in ran.err
        assert contents() == before


def test_what_another_spec_names_can_be_written(run: Run, spec: str) -> None:
    Path("other.py").write_text("other")
    assert run("codegen", spec, "-b", "torch", "-o", "other.py", "--force").code == 0
    assert "import torch" in Path("other.py").read_text()


PARALLEL = """
import contextlib, io, json, multiprocessing, os, sys
from rnnspec import cli
from rnnspec.backends import get

get("torch").runtime

def run(words, barrier, told):
    sys.argv, printed = ["rnnspec", *words], io.StringIO()
    sync, first = os.fsync, iter([True])

    def together(descriptor):
        # By now each of them has found that nothing is there.
        if next(first, False):
            barrier.wait(60)
        sync(descriptor)

    os.fsync = together
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli.main()
        except SystemExit as stopped:
            told.put((stopped.code, printed.getvalue()))

context = multiprocessing.get_context("fork")
for words in sys.argv[1:]:
    barrier, told = context.Barrier(2), context.Queue()
    arguments = words.split(), barrier, told
    workers = [context.Process(target=run, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    print(json.dumps([told.get(timeout=100) for _ in workers]))
    for worker in workers:
        worker.join(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
def test_one_of_two_runs_writes(
    python: Run, entries: Run, spec: str, subtests: pytest.Subtests
) -> None:
    pytest.importorskip("torch")
    lines = [
        f"codegen {spec} -b torch -o c.py",
        f"build {spec} -b torch -o made",
        f"build {spec} -b torch -o .",
    ]
    ran = python(PARALLEL, *lines)
    assert ran.code == 0, ran.err
    for words, line in zip(lines, ran.out.splitlines(), strict=True):
        with subtests.test(words):
            told = json.loads(line)
            assert sorted(code for code, _ in told) == [0, 2]
            for code, printed in told:
                assert ("wrote " in printed) == (code == 0)
                assert ("error: already exists" in printed) == (code == 2)
    assert not [name for name in entries() if "rnnspec" in name]


LONG = "x" * 300


@cases(
    ("words", "code"),
    [
        (["init", "-o", f"{LONG}.yaml"], 3),
        (["init", "-o", f"{LONG}/net.yaml"], 3),
        (["schema", "-o", LONG], 3),
        (["codegen", "net.yaml", "-b", "torch", "-o", f"{LONG}.py"], 3),
        (["codegen", "net.yaml", "-b", "torch", "-o", f"{LONG}.py", "--check"], 2),
        (["codegen", "net.yaml", "-b", "torch", "-o", LONG, "--check"], 2),
        (["codegen", "net.yaml", LONG, "-b", "torch", "-o", "."], 2),
        (["build", "net.yaml", "-b", "torch", "-o", LONG], 3),
        (["build", "net.yaml", "-b", "torch", "-o", f"{LONG}/deep"], 3),
        (["build", "net.yaml", "-b", "keras", "-o", f"{LONG}.keras"], 3),
    ],
)
def test_a_name_that_is_too_long(
    run: Run, entries: Run, spec: str, words: list[str], code: int
) -> None:
    pytest.importorskip(words[3] if words[0] == "build" else "rnnspec")
    before = entries()
    ran = run(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(LONG)
    assert ran.err.count("\n") == 1
    assert ": error: " in ran.err
    assert entries() == before


GONE = """
import contextlib, io, json, os, sys
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
from rnnspec.cli import main
for words in sys.argv[1:]:
    sys.argv = ["rnnspec", *words.split()]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
HERE = "the working folder no longer exists; change to one that does"


IN_NO_FOLDER = [
    ("init", 3, f"classifier.yaml: error: {HERE}"),
    ("schema -o x", 3, f"x: error: {HERE}"),
    ("codegen {spec} -b torch -o x.py", 3, f"x.py: error: {HERE}"),
    ("codegen {spec} -b torch -o .", 3, f"small.py: error: {HERE}"),
    ("codegen {spec} -b torch -o x.py --check", 2, f"x.py: error: {HERE}"),
    ("codegen net.yaml -b torch", 2, f"net.yaml: error: {HERE}"),
    ("validate net.yaml --format concise", 2, f"net.yaml: error: {HERE}"),
    ("validate .", 2, f".: error: {HERE}"),
    ("lint *.yaml", 2, f"*.yaml: error: {HERE}"),
    ("parity net.yaml", 2, f"net.yaml: error: {HERE}"),
    ("parity {spec}", 3, f"rnnspec: error: {HERE}"),
    ("build {spec} -b torch", 3, f"rnnspec: error: {HERE}"),
    ("build {spec} -b torch -o x", 3, f"x: error: {HERE}"),
    ("build {spec} -b keras -o x.keras", 3, f"x.keras: error: {HERE}"),
    ("summary net.yaml", 2, "net.yaml: error: no such file"),
    ("diff net.yaml {spec}", 2, "net.yaml: error: no such file"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it cannot be removed")
def test_a_working_folder_that_was_removed(
    python: Run, spec: str, subtests: pytest.Subtests
) -> None:
    for framework in ("keras", "torch"):
        pytest.importorskip(framework)
    lines = [words.format(spec=Path(spec).resolve()) for words, _, _ in IN_NO_FOLDER]
    answers = map(json.loads, python(GONE, *lines).out.splitlines())
    for (words, code, message), (received, out, err) in zip(IN_NO_FOLDER, answers, strict=True):
        with subtests.test(words):
            assert received == code
            assert message in out + err
            assert (out + err).count("error: ") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it cannot be removed")
def test_what_needs_no_working_folder_does_without(
    python: Run, spec: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    path, wrong = str(Path(spec).resolve()), str(Path("wrong.yaml").resolve())
    Path(wrong).write_text("version: 1\n")
    good = [
        f"codegen {path} -b torch", f"codegen {path} -b torch -o {tmp_path}/source",
        f"init -o {tmp_path}/net.yml", f"summary {path}", f"diff {path} {path}", "explain L101",
        f"validate {path} --format github", f"validate {path} --format sarif",
    ]  # fmt: skip
    bad = [f"validate {wrong} --format github", f"validate {wrong} --format sarif"]
    answers = map(json.loads, python(GONE, *good, *bad).out.splitlines())
    for words, (code, out, err) in zip([*good, *bad], answers, strict=True):
        with subtests.test(words):
            assert code == (1 if words in bad else 0)
            assert not err or "--format github" in words
            assert words not in bad or wrong in out

"""``rnnspec draw`` and ``Picture.save``: formats, options, and files that are there already."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from conftest import GALLERY, ROOT

import rnnspec
from rnnspec.errors import BackendError, OutputError, UsageError

Run = Callable[..., Any]


@pytest.fixture
def kept() -> Iterator[dict[str, bytes]]:
    """The files below the current folder, which a refusal leaves as they are."""
    yield (before := {str(path): path.read_bytes() for path in Path().rglob("*")})
    assert {str(path): path.read_bytes() for path in Path().rglob("*")} == before


@cases(
    ("ending", "begin"),
    [
        ("svg", b"<svg "),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("tex", b"% small\n"),
        ("SVG", b"<svg "),
    ],
)
def test_the_ending_decides_the_format(run: Run, spec: str, ending: str, begin: bytes) -> None:
    if ending in ("png", "pdf"):
        pytest.importorskip("cairosvg")
    ran = run("draw", spec, "-o", f"a.{ending}")
    assert (ran.code, ran.out, ran.err) == (0, f"wrote a.{ending}\n", "")
    first = Path(f"a.{ending}").read_bytes()
    assert first.startswith(begin)
    if ending == "svg":
        assert first.decode() == str(rnnspec.draw(spec))
    time.sleep(1.1 if ending == "pdf" else 0)  # a date in it would have another second
    run("draw", spec, "-o", f"a.{ending}", "--force")
    assert Path(f"a.{ending}").read_bytes() == first


@cases(
    ("words", "message"),
    [
        (["-o", "a.gif"], "a.gif: error: expected a file that ends in {}, received '.gif'"),
        (["-o", "a"], "a: error: expected a file that ends in {}, received none"),
        (["-o", "-"], "-: error: expected the path of a file; without -o the text form is printed"),
        (["-o", "small.yaml"], "small.yaml: error: expected a file that ends in {}"),
        (["--steps", "0"], "error: steps: expected 2 to 5 for an input of length 5, received 0"),
        (["--steps", "-3"], "error: steps: expected 2 to 5 for an input of length 5, received -3"),
        (["--steps", "6"], "error: steps: expected 2 to 5 for an input of length 5, received 6"),
        (["--form", "round"], "error: unknown form 'round'; expected unrolled or folded"),
        (["--labels", "all"], "error: unknown labels 'all'; expected full or none"),
        (
            ["--theme", "sepia"],
            "error: unknown theme 'sepia'; expected colour, dark, auto or print",
        ),
        (["--background", "red"], "error: unknown background 'red'; expected white or none"),
        (["--form", "folded", "--steps", "2"], "error: steps: the folded form shows no time steps"),
    ],
)
def test_what_is_not_possible_is_refused(
    run: Run, spec: str, kept: Any, words: list[str], message: str
) -> None:
    words = words if "-o" in words else [*words, "-o", "a.svg"]
    ran = run("draw", spec, *words)
    assert (ran.code, ran.out) == (2, "")
    assert message.format(endings()) in ran.err
    assert len(ran.err.splitlines()) == 1


def endings() -> str:
    from rnnspec.drawing.formats import endings
    from rnnspec.errors import listed

    return listed(endings(), "or")


def test_an_open_length_has_a_limit() -> None:
    spec = rnnspec.loads("version: 1\nname: a\ninput: {features: 2}\nrnn: {type: gru, units: 2}\n")
    assert str(rnnspec.draw(spec, steps=64)).count(">GRU</text>") == 64
    with pytest.raises(UsageError, match="expected 2 to 64 for an input of any length"):
        rnnspec.draw(spec, steps=65)
    with pytest.raises(UsageError, match="received '3'"):
        rnnspec.draw(spec, steps="3")  # type: ignore[arg-type]


def test_a_file_that_exists_stays(run: Run, spec: str) -> None:
    Path("a.svg").write_text("mine")
    assert "already exists; use --force" in run("draw", spec, "-o", "a.svg").err
    with pytest.raises(UsageError, match="already exists"):
        rnnspec.draw(spec).save("a.svg")
    with pytest.raises(OutputError, match="no such folder"):
        rnnspec.draw(spec).save("none/a.svg")
    assert run("draw", spec, "-o", "none/a.svg").code == 3
    assert Path("a.svg").read_text() == "mine"
    Path("b.svg").hardlink_to(spec)
    assert "this is the input small.yaml" in run("draw", spec, "-o", "b.svg", "--force").err
    assert Path(spec).read_text().startswith("version: 1")
    rnnspec.draw(spec).save(Path("a.svg"), force=True)
    assert Path("a.svg").read_text(encoding="utf-8") == str(rnnspec.draw(spec))


def test_without_cairosvg_the_command_to_install_it(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(BackendError, match=r"need CairoSVG: pip install .*(pictures|cairosvg)"):
        rnnspec.draw(spec).save("a.png")
    assert not Path("a.png").exists()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_tex_compiles_alone(tmp_path: Path) -> None:
    if _found("tikz.sty") is None:
        pytest.skip("TikZ is not installed")
    if _found("standalone.cls") is None:  # the class only cuts the page
        lines = "\\ProvidesClass{standalone}\\LoadClass{article}\\pagestyle{empty}\n"
        Path("standalone.cls").write_text(lines)
    for path in (GALLERY[0], ROOT / "specs" / "packed_sentiment_lstm.yaml"):
        rnnspec.draw(path).save("net.tex", force=True)
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]


def _found(name: str) -> str | None:
    done = subprocess.run(["kpsewhich", name], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None

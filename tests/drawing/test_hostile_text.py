"""The description is text in every format, whatever is in it; names are identifiers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from cases import cases
from drawing.drawn import networks
from hypothesis import example, given
from hypothesis import strategies as st

from rnnspec.drawing import formats
from rnnspec.drawing.options import Options
from rnnspec.drawing.writers.tikz import escape
from rnnspec.ir.nodes import Network

NASTY = [
    "<script>alert(1)</script>", "]]>", "<![CDATA[", "-->", "&amp;", "&lt;", "&#x3c;", '"', "'",
    "`",
    "\\", "\\input{/etc/passwd}", "\\write18{id}", "\\end{document}", "^^5c", "%", "$", "{", "}",
    "#", "_", "~", "end\n\nsubgraph x", "-->|x|", "click A href", "%%{init: {}}%%", ";", "graph TD",
    "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u200f",
    "\ufeff", "\x00", "\x1b[31m", "\ud800", "\U0001f600", "café",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=20), max_size=8).map("".join)
SMALL = networks()["standard_rnn"]
DRAWN = formats.svg_text(replace(SMALL, description=""), Options())
TEXED = formats.writer(Path("a.tex"))(SMALL, Options()).decode()


def described(text: str) -> Network:
    # Straight into the network: the reader refuses some characters, pictures must not rely on it.
    return replace(SMALL, description=text)


@given(TEXTS)
@example("</desc><script>x</script>")
@example("x\n\\input{y}\n")
def test_a_description_is_text(text: str) -> None:
    drawn = formats.svg_text(described(text), Options())
    drawn.encode()
    root = ET.fromstring(drawn)
    assert [child.tag for child in root] == [child.tag for child in ET.fromstring(DRAWN)]
    said = root[1].text or ""
    assert said.isprintable()
    assert not set(said) & set("\u200f\u202e\u2066")
    words = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in " ".join(text.split())
    )
    assert said.startswith(words)
    assert drawn.replace(re.findall("<desc>.*</desc>", drawn)[0], "") == re.sub(
        "<desc>.*</desc>", "", DRAWN
    )


@given(TEXTS)
def test_a_description_is_a_comment_in_tex(text: str) -> None:
    made = _tex(text)
    first, second, *rest = made.split("\n")
    assert first == f"% {SMALL.name}"
    assert second.startswith("% ")
    assert second.isprintable()
    assert rest == TEXED.split("\n")[2:]


def _tex(text: str) -> str:
    return formats.writer(Path("a.tex"))(described(text), Options()).decode()


@cases("text", ["\\input{x}", "a_b^c", "100% & #1", "~{}$", "<->"])
def test_tex_prints_every_character(text: str) -> None:
    made = escape(text)
    for command in re.findall(r"\\[a-z]+", made):
        assert command in {
            "\\textbackslash",
            "\\textasciicircum",
            "\\textasciitilde",
            "\\textless",
            "\\textgreater",
        }
    assert not re.search(r"(?<!\\)[%&#_$^~]", made)

"""Results in notebooks: what IPython shows, in the colours of the page, the same every time."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cases import cases
from conftest import GALLERY
from covering import covering
from offered import require_all

import rnnspec
from rnnspec import pipeline
from rnnspec.backends.needs import level
from rnnspec.comparison.diff import diff
from rnnspec.comparison.report import Finding, ParityReport
from rnnspec.errors import Difference, Refusal
from rnnspec.models.foreign import Model

MATH = "{http://www.w3.org/1998/Math/MathML}math"
SPECS = Path(__file__).parents[2] / "specs"
HOSTILE = """\
version: 1
name: net
description: '</p><script>alert("1")</script> & <img src=x onerror=y>'
input: {features: 2}
rnn: {type: gru, units: 3, activation: relu}
head: {units: 1}
"""


def shown(result: Any) -> ET.Element:
    """Return what IPython shows of a result, as any page may hold it."""
    from IPython.core.formatters import DisplayFormatter

    formatter: Any = DisplayFormatter()
    data, _ = formatter.format(result)
    html = data["text/html"]
    assert html == result._repr_html_(), "the same bytes again"
    root = ET.fromstring(html)
    mathematics = {each for math in root.iter(MATH) for each in math.iter()}
    for each in root.iter():
        if each in mathematics:
            assert each.tag.startswith(MATH.removesuffix("math"))
            continue
        assert each.tag in {
            *("div", "p", "strong", "ul", "li", "img"),
            *("table", "thead", "tbody", "tr", "th", "td"),
        }
        assert set(each.attrib) <= {"style", "src", "alt"}
        style = each.get("style", "")
        assert "background" not in style
        assert set(re.findall(r"(?<![-\w])color: (\w+)", style)) <= {"inherit"}
    return root


def words(root: ET.Element) -> str:
    return "|".join(root.itertext())


@cases("gallery_spec", covering(GALLERY))
def test_a_spec_is_its_table_and_its_picture(gallery_spec: Path) -> None:
    given = rnnspec.load(gallery_spec)
    root = shown(given)
    found = words(root)
    for layer in rnnspec.summary(given).layers:
        assert f"{layer.name} ({layer.type})|{layer.output_shape}|{layer.parameters:,}" in found
    (image,) = root.iter("img")
    kind, _, data = image.get("src", "").partition(",")
    assert kind == "data:image/svg+xml;base64"
    # A page or a notebook may be dark.
    assert b"prefers-color-scheme:dark" in base64.b64decode(data)


def test_the_equations_of_a_cell_stand_below_its_table_and_not_in_its_picture_too() -> None:
    root = shown(rnnspec.load(SPECS / "phoneme_peephole_bilstm.yaml"))
    assert [part.tag for part in root][:5] == ["p", "p", "table", "p", "p"]
    assert words(root).count("|peephole_lstm|, the cell of bidirectional_1: states h, c|") == 1
    (formula,) = root.iter(MATH)
    assert len(list(formula.iter(f"{MATH.removesuffix('math')}mtr"))) == 6
    data = next(root.iter("img")).get("src", "").partition(",")[2]
    assert b"the cell of" not in base64.b64decode(data)


def test_a_spec_too_large_for_a_picture_is_its_table() -> None:
    text = "version: 1\nname: deep\ninput: {features: 2}\nrnn:\n" + "".join(
        f"  - {{type: gru, units: {n % 2 + 2}, layer_norm: true}}\n" for n in range(80)
    )
    root = shown(rnnspec.loads(text))
    assert len(list(root.iter("tr"))) == 161
    assert not list(root.iter("img"))


def test_text_of_a_spec_stays_text() -> None:
    given = rnnspec.loads(HOSTILE)
    assert given.description in words(shown(given))
    assert "<script>" not in given._repr_html_()


def test_a_summary_is_a_table_and_prints_as_the_command_does(capsys: Any) -> None:
    summary = rnnspec.summary(SPECS / "imdb_recurrent_dropout.yaml")
    assert "Run step by step on torch" in words(shown(summary))
    from rnnspec.results.tables import print_result

    print_result(summary)
    assert capsys.readouterr().out == f"{summary}\n"
    assert repr(summary) == "Summary(imdb_recurrent_dropout, 2,691,713 parameters)"


def test_a_spec_prints_as_its_text() -> None:
    path = SPECS / "standard_rnn.yaml"
    spec = rnnspec.load(path)
    assert str(spec) == path.read_text().rstrip("\n")
    assert repr(spec) == f"Spec(standard_rnn, {str(path)!r})"
    assert "\n" not in repr(spec.document)


def test_a_model_that_was_taken_over_is_its_layers_and_what_became_of_it() -> None:
    torch = pytest.importorskip("torch")
    spec = rnnspec.load(SPECS / "narrowing_gru.yaml")
    # Arrays would be pages of numbers, and a sentence may have any text of a file.
    arrays, compared = {"a": torch.zeros(1000)}, "compared with the module"
    model = Model(spec, arrays, ("<b>: a loss", "\x1b[31m"), ("the length",), compared)
    found = words(shown(model))
    assert found.startswith("narrowing_gru|")
    assert "|inferred: the length|not carried over: <b>: a loss|" in found
    assert str(model) == (
        f"{rnnspec.summary(spec)}\ninferred: the length\nnot carried over: <b>: a loss\n"
        "not carried over: \\x1b[31m\ncompared with the module"
    )
    assert repr(model) == "Model(narrowing_gru, 1 array)"
    assert words(shown(replace(model, left_out=(), inferred=()))).endswith("|" + compared)


def test_a_model_of_onnx_has_a_short_name() -> None:
    pytest.importorskip("onnxruntime")
    model = rnnspec.build(SPECS / "narrowing_gru.yaml", "onnx")
    assert repr(model) == "OnnxModel(narrowing_gru, 12 arrays)"


@cases("name", ["NO_COLOR", "FORCE_COLOR"])
def test_a_summary_is_plain_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert str(rnnspec.summary(SPECS / "standard_rnn.yaml")).isascii()
    assert "\x1b" not in str(rnnspec.summary(SPECS / "standard_rnn.yaml"))


def test_a_diff_is_what_changed() -> None:
    old, new = (pipeline.read(SPECS / f"{name}.yaml") for name in ("standard_rnn", "stacked_lstm"))
    assert repr(diff(old, new)) == "Diff(standard_rnn -> stacked_lstm, changed)"
    found = words(shown(diff(old, new)))
    assert "standard_rnn → stacked_lstm" in found
    assert "+|lstm_2 (LSTM)|(None, 500, 32)|8,320" in found
    assert "no change in the network" in words(shown(diff(old, old)))


@pytest.fixture(scope="module")
def report() -> ParityReport:
    require_all(level("forward"))
    return rnnspec.parity(SPECS / "weather_forecast_lstm.yaml", level="forward")


def test_a_report_is_the_verdict_and_the_differences(report: ParityReport) -> None:
    root = shown(report)
    assert words(root).startswith("equal|: 1 spec, compared up to forward in float64 (")
    (spec,) = report.specs
    found = spec.backends["torch"].findings["forward"].difference
    assert "forward|within 1e-09|" in words(root)
    assert f"|{found:.1e}" in words(root)
    assert "✗" not in words(root)
    assert str(report).splitlines()[-1] == words(root).partition("|weather")[0].replace("|", "")
    assert repr(report) == f"ParityReport({report.verdict})"
    assert repr(spec).startswith("SpecParity(weather_forecast_lstm, equal on ")


def unequal(report: ParityReport) -> ParityReport:
    """Return a report in which all is wrong that can be."""
    (spec,) = report.specs
    torch = replace(
        spec.backends["torch"],
        layers=dict.fromkeys(spec.layers, 7),
        findings={"forward": Finding(float("inf"), "<lstm>", 1e-9)},
    )
    difference = Difference("net", "torch", "lstm_1", "<output>", "1 & 2", "\x1b[31m3")
    refusal = Refusal("lstm_1", "activation", "<b>no</b>")
    wrong = replace(
        spec,
        backends={**spec.backends, "torch": torch},
        differences=(difference,),
        refused={"toy": (refusal,)},
    )
    return replace(report, specs=(wrong,))


def test_a_report_of_differences_is_marked_and_escaped(report: ParityReport) -> None:
    found = words(shown(unequal(report)))
    assert found.startswith("NOT equal|: 1 spec")
    assert "7 ✗" in found
    assert "inf ✗" in found
    assert r"<output>: expected 1 & 2, received \x1b[31m3" in found
    assert "Left out toy: lstm_1.activation: <b>no</b>" in found
    assert str(unequal(report)).splitlines()[-1].startswith("net: error: torch: lstm_1: <output>")

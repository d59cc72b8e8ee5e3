"""Every viewer draws the same: plain attributes, room for every font, the same bytes."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from cases import cases
from drawing.drawn import SVG, networks, options, overlaps

import rnnspec
from rnnspec.drawing.layout.build import scene
from rnnspec.drawing.options import Form, Options
from rnnspec.drawing.picture import Picture
from rnnspec.drawing.scene import PALETTES, Text
from rnnspec.drawing.writers.svg import png
from rnnspec.errors import UsageError

ELEMENTS = {"svg", "title", "desc", "g", "rect", "circle", "path", "text", "tspan"}
ATTRIBUTES = {
    *("viewBox", "width", "height", "role", "x", "y", "rx", "cx", "cy", "r", "d", "dx", "dy"),
    *("fill", "stroke", "stroke-width", "stroke-dasharray"),
    *("font-family", "font-size", "font-style", "font-weight", "text-anchor"),
}
NAMES = list(networks())
# Lines to a join pass a branch with other steps, whose nodes stand in other columns.
CROSSED = ("gesture_lstm_fcn", "story_question_lstm")


@cases("name, form", product(NAMES, ["unrolled", "folded"]))
def test_a_picture_is_of_plain_svg(name: str, form: Form) -> None:
    picture = Picture(networks()[name], Options(form=form))
    text = str(picture)
    assert text == str(picture)
    root = ET.fromstring(text)
    assert [child.tag for child in root[:3]] == [f"{SVG}title", f"{SVG}desc", f"{SVG}rect"]
    assert root[0].text == networks()[name].name
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in ELEMENTS
        named = {key for key in element.attrib if not key.startswith("data-")}
        assert named <= ATTRIBUTES
        assert element.get("font-weight", "400") in ("400", "500", "600")
        assert float(element.get("font-size", "9")) >= 9
    numbers = re.findall(r"-?\d+\.\d+", re.sub(r"<(title|desc|text).*?</\1>", "", text))
    assert all(len(number.partition(".")[2]) <= 2 for number in numbers)
    assert "nan" not in text
    assert len(text) < 100_000


@cases("name", [name for name in NAMES if name not in CROSSED])
def test_nothing_overlaps_and_nothing_is_cut(name: str) -> None:
    network = networks()[name]
    for given in options(network):
        assert list(overlaps(scene(network, given))) == [], given


def test_a_picture_without_a_ground_or_in_grey() -> None:
    plain = Picture(networks()["stacked_lstm"], Options(background="none", theme="print"))
    assert not [child for child in ET.fromstring(str(plain)) if child.tag == f"{SVG}rect"]
    colours = set(re.findall(r"#[0-9a-f]{6}", str(plain)))
    assert all(colour[1:3] == colour[3:5] == colour[5:] for colour in colours)


def test_a_picture_for_dark_pages_has_no_light_ground_or_line() -> None:
    for name in ("colour", "dark"):
        assert PALETTES[name].keys() == PALETTES["print"].keys()
    network = networks()["bidirectional_lstm_stack"]
    dark = str(Picture(network, Options(theme="dark")))
    light = {colour for pair in PALETTES["colour"].values() for colour in pair}
    assert light.isdisjoint(re.findall(r"#[0-9a-f]{6}", dark))


def test_an_adapting_picture_is_the_light_one_until_its_style_makes_it_the_dark_one() -> None:
    network = networks()["bidirectional_lstm_stack"]
    light, dark, auto = (
        str(Picture(network, Options(theme=theme))) for theme in ("colour", "dark", "auto")
    )
    style = re.search(r"<style>(.*)</style>\n", auto)
    assert style is not None
    assert auto.replace(style[0], "").replace(' data-theme="auto"', "") == light
    rules = dict(re.findall(r"(\[(?:fill|stroke)=.*?\])\{(.*?)\}", style[1]))
    assert all(element.get("style") is None for element in ET.fromstring(auto).iter())
    for part, other in zip(ET.fromstring(light).iter(), ET.fromstring(dark).iter(), strict=True):
        for key in ("fill", "stroke"):
            if (colour := part.get(key, "none")) != "none" and colour != "#ffffff":
                assert rules[f'[{key}="{colour}"]'] == f"{key}:{other.get(key)}"
    assert Picture(network, Options())._repr_svg_() == auto


def test_a_picture_without_labels_has_no_name_no_table_and_no_legend() -> None:
    drawn = str(Picture(networks()["bidirectional_lstm"], Options(labels="none")))
    drawn = re.sub("<(desc|title)>.*</\\1>", "", drawn)
    for word in ("parameters", "bidirectional_lstm", "forward direction"):
        assert word not in drawn
    assert "LSTM" in drawn


def test_a_png_is_opaque_up_to_its_edges() -> None:
    pytest.importorskip("cairosvg")
    image = pytest.importorskip("PIL.Image")
    for name in ("torchinfo_packed_lstm", "bidirectional_lstm", "corners"):
        content = png(str(Picture(networks()[name], Options())))
        assert image.open(BytesIO(content)).convert("RGBA").getchannel("A").getextrema() == (
            255,
            255,
        )


def test_remarks_on_one_arrow_are_apart() -> None:
    picture = scene(networks()["torchinfo_packed_lstm"], Options())
    texts = [shape for part in picture.parts for shape in part.shapes if isinstance(shape, Text)]
    *_, index = [text for text in texts if text.content == "T" and text.role == "grey"]
    (rate,) = [text for text in texts if text.content == "dropout 0.2"]
    assert rate.area[1] - index.area[3] > 4


def test_long_runs_are_folded_and_what_is_too_long_is_refused() -> None:
    text = (
        "version: 1\nname: long\ninput: {features: 2}\nrnn:\n"
        + "  - {type: gru, units: 2}\n  - {type: lstm, units: 2}\n" * 31
    )
    with pytest.raises(UsageError, match="long has 62 rows to draw"):
        rnnspec.draw(rnnspec.loads(text))
    alike = (
        "version: 1\nname: deep\ninput: {features: 2}\nrnn: {type: gru, units: 2, layers: 400}\n"
    )
    drawn = str(rnnspec.draw(rnnspec.loads(alike)))
    assert "gru_2 to gru_399" in drawn
    assert "398 layers" in drawn

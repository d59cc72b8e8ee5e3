"""The picture in characters: it fits a terminal, names each layer, and draws what is used."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from cases import cases
from conftest import GALLERY
from drawing.drawn import is_chain

from rnnspec import pipeline
from rnnspec.drawing.attending import fold_projections
from rnnspec.drawing.layout.grid import Poolings, is_beside, side_by_side, split_heads
from rnnspec.drawing.writers.text import text
from rnnspec.ir.nodes import (
    AttentionPooling,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    InstanceNorm,
    LayerNorm,
    Network,
    Normalize,
    Pooling,
    Recurrent,
    Repeat,
    sources,
)
from rnnspec_random.strategies import sample, spec_text, specs

TOKENS = "embedding: {vocabulary: 20, dim: 4}"
NUMBERS = "input: {length: 500, features: 4}"
PADDED = "input: {length: 8, features: 4, mask_value: 0}"


def network(*parts: str) -> Network:
    return pipeline.reads("\n".join(["version: 1", "name: net", *parts])).network


@cache
def drawn() -> tuple[Network, ...]:
    """Networks of random specs, with short names and with long ones."""
    chosen = [*sample(specs(), 40), *sample(specs(long_names=True), 20)]
    return tuple(pipeline.reads(spec_text(spec)).network for spec in chosen)


def lines(of: Network, **options: int) -> list[str]:
    return text(of, **options).splitlines()  # type: ignore[arg-type]


def row(of: Network, name: str) -> str:
    """Return the row that a layer is drawn in."""
    (found,) = [line for line in lines(of) if line.startswith(f"{name} ") or line == name]
    return found


@cases("gallery_spec", GALLERY)
def test_the_gallery_fits_a_terminal_and_names_each_layer(gallery_spec: Path) -> None:
    of = pipeline.read(gallery_spec).network
    # Branches stand above each other, and states beside their layers.
    order = list if is_chain(of) else sorted
    inputs = [one.name for one in of.inputs if not getattr(one, "state", False)]
    layers = [one.name for one in fold_projections(of).network.layers if not is_beside(one)]
    for picture in (text(of), text(of, form="folded"), text(of, unicode=False)):
        rows = picture.splitlines()
        assert max(map(len, rows)) <= 80
        names = [line.split()[0] for line in rows if line and not line.startswith(" ")]
        assert order(names[-2::-1]) == order([*inputs, *layers, of.name])
    assert text(of, unicode=False).isascii()


def test_any_network_fits_names_each_layer_and_is_drawn_the_same_again() -> None:
    for of in drawn():
        picture, folded = text(of), text(of, form="folded")
        assert (picture, folded) == (text(of), text(of, form="folded"))
        assert text(of, unicode=False).isascii()
        for rows in (picture.splitlines(), folded.splitlines()):
            assert max(map(len, rows)) <= 80
            starts = [line.split()[0] for line in rows if line and not line.startswith(" ")]
            check_order(of, starts[-2::-1])


def check_order(of: Network, names: list[str]) -> None:
    """Check that each input and layer has a row, above those of all that it takes."""
    of = fold_projections(of).network
    drawn = [one.name for one in (*of.inputs, *of.layers) if not is_beside(one)]
    assert sorted(names) == sorted([*drawn, of.name])
    assert names[-1] == of.name
    for layer, taken in sources(of).items():
        below = [name for name in taken if name in names]
        if layer in names:
            assert all(names.index(name) < names.index(layer) for name in below)


def pooling_word(layer: Pooling | AttentionPooling | Flatten) -> str:
    if isinstance(layer, Pooling):
        return layer.statistic.replace("_", " ")
    return "attention" if isinstance(layer, AttentionPooling) else "flatten"


def test_any_network_shows_a_cell_for_each_direction_and_each_dropout() -> None:
    for of in drawn():
        folded = text(of, form="folded")
        cells = [layer for layer in of.layers if isinstance(layer, Recurrent)]
        assert folded.count("↺") == sum(1 if cell.merge is None else 2 for cell in cells)
        arrows = sum(bool(cell.dropout) * (1 if cell.merge is None else 2) for cell in cells)
        assert folded.count("⇡") == arrows
        assert folded.count("[repeat]") == sum(isinstance(layer, Repeat) for layer in of.layers)
        norms = sum(isinstance(layer, LayerNorm | BatchNorm | InstanceNorm) for layer in of.layers)
        divided = sum(isinstance(layer, Normalize) for layer in of.layers)
        # norm(v) is a function of equations.
        found = re.findall(r" norm(?!\()", folded)
        assert len(found) == 2 * norms + divided, "of a norm, there is a cell too"
        assert folded.count("x/|x|") == divided
        pools = [
            layer for layer in of.layers if isinstance(layer, Pooling | AttentionPooling | Flatten)
        ]
        trunk, heads = split_heads(fold_projections(of).network)
        stages = [*trunk, *(one for head in heads for one in side_by_side(of, head.layers))]
        lists = [stage.join.of for stage in stages if isinstance(stage, Poolings)]
        beside = {name for names in lists for name in names}
        boxes = [pooling_word(pool) for pool in pools if pool.name not in beside]
        for word in [*boxes, *(f"{len(names)} pools" for names in lists)]:
            assert f"[{word}]" in folded
        for name, layer in of.results.items():
            is_state = layer.name in of.ports
            assert not name or (name in folded if is_state else f"\n  → {name} " in folded)
        convolutions = sum(isinstance(layer, Conv) for layer in of.layers)
        assert len(re.findall(r" conv$", folded, re.MULTILINE)) == convolutions
        if any(isinstance(layer, Dropout) for layer in of.layers):
            assert "┊" in folded


def test_a_whole_picture() -> None:
    of = network(TOKENS, "rnn: {type: lstm, units: 3, dropout: 0.2}", "head: {units: 1}")
    assert (
        text(of)
        == """\
net                                                                ŷ
                                                                   ↑
dense_1  1 unit                                                  dense
  → 1 · 4 parameters                                               ↑
lstm_1  LSTM, 3 units        0 ═⇒ LSTM ═⇒ LSTM ═⇒ LSTM ═⇒ ··· ═⇒ LSTM
  → 3 · 96 parameters               ⇡       ⇡       ⇡              ⇡
  dropout 0.2                       ┊       ┊       ┊              ┊
  last state only                   ┊       ┊       ┊              ┊
embedding_1  20 tokens to 4       embed   embed   embed          embed
  → T × 4 · 80 parameters           ↑       ↑       ↑              ↑
input  T tokens                     x₁      x₂      x₃    ···      xT

180 parameters in all
"""
    )


@cases(
    ("head", "arrows"),
    [("{pooling: last}", 1), ("{pooling: mean}", 4), ("{pooling: none}", 4)],
)
def test_only_an_output_that_is_used_has_an_arrow(head: str, arrows: int) -> None:
    of = network(NUMBERS, "rnn: {type: gru, units: 3}", f"head: {head}")
    rows = lines(of)
    above = rows[rows.index(row(of, "gru_1")) - 1]
    assert above.count("↑") == arrows


def test_the_backward_direction_ends_at_step_1() -> None:
    of = network(NUMBERS, "rnn: {type: lstm, units: 3, bidirectional: true}", "head: {units: 1}")
    rows = lines(of)
    backward = rows.index(row(of, "bidirectional_1"))
    turn, first = rows[backward - 1], rows[backward].index("LSTM ⇐")
    assert first <= turn.index("╭") < first + 4, "it leaves the backward cell of step 1"
    forward = rows[backward + 2]
    assert forward.rindex("LSTM") <= turn.index("│") < forward.rindex("LSTM") + 4
    assert rows[backward].rstrip().endswith("LSTM ⇐═ 0")
    assert " 0 ═⇒ LSTM" in forward
    arrows = rows[backward - 2]
    assert [turn.index("│"), turn.index("╯")] == [x for x, c in enumerate(arrows) if c == "↑"]


def test_padding_is_held_and_its_value_is_used_only_where_it_is_the_result() -> None:
    pooled = network(PADDED, "rnn: {type: gru, units: 4, layer_norm: true}", "head: {pooling: max}")
    assert row(pooled, "gru_1").endswith("→ held")
    norms = row(pooled, "layer_normalization_1").count(" norm")
    kept = network(PADDED, "rnn: {type: gru, units: 4, layer_norm: true}")
    assert row(kept, "layer_normalization_1").count(" norm") == norms + 1
    assert lines(kept)[0].endswith("pad")
    assert lines(pooled)[0].split() == ["net", "ŷ"]


def test_dropout_is_dashed_on_the_line_it_acts_on() -> None:
    cell = "rnn: {type: lstm, units: 3, dropout: 0.2, recurrent_dropout: 0.1}"
    both = network(NUMBERS, cell)
    assert "⇢" in row(both, "lstm_1")
    assert "═" not in row(both, "lstm_1")
    assert "⇡" in text(both)
    none = text(network(NUMBERS, "rnn: {type: lstm, units: 3}"))
    assert not set("⇡⇢┊┄") & set(none)


def test_a_residual_goes_around_its_block() -> None:
    of = network(NUMBERS, "rnn: {type: gru, units: 4, residual: true, layer_norm: true}")
    rows = lines(of)
    line = rows[rows.index(row(of, "add_1"))].index("╮")
    block = rows[rows.index(row(of, "add_1")) + 1 :]
    end = next(i for i, each in enumerate(block) if each[line : line + 1] == "╯")
    assert all(each[line] == "│" for each in block[:end])
    assert any("gru_1" in each for each in block[:end])
    assert "├" in block[end]


def test_a_repeat_has_a_time_axis_of_its_own() -> None:
    of = network(
        NUMBERS,
        "rnn: [{type: gru, units: 3}, {type: repeat, steps: 2}, {type: gru, units: 3}]",
        "head: {pooling: none, units: 2}",
    )
    assert row(of, "gru_1").replace("GRU,", "").count("GRU") == 4
    assert row(of, "gru_2").replace("GRU,", "").count("GRU") == 2
    assert lines(of)[0].split() == ["net", "ŷ₁", "ŷ₂"]


def test_a_window_has_a_line_from_each_side_that_it_gathers() -> None:
    layers = "{type: conv, filters: 3, kernel_size: 3, padding: PADDING}"
    cells = "rnn: [LAYER, {type: gru, units: 3}]".replace("LAYER", layers)
    same = network(NUMBERS, cells.replace("PADDING", "same"))
    causal = network(NUMBERS, cells.replace("PADDING", "causal"))
    for of, expected in ((same, ["│╲", "╱│╲", "╱│╲", "╱│"]), (causal, ["│", "╱│", "╱│", "╱│"])):
        rows = lines(of)
        assert rows[rows.index(row(of, "conv_1")) + 1].split()[-4:] == expected
    padded = network(
        "input: {length: 3, features: 4, mask_value: 0}", cells.replace("PADDING", "same")
    )
    rows = lines(padded)
    assert rows[rows.index(row(padded, "conv_1")) + 1].split()[-2:] == ["│╲", "╱│"]
    shorter = network(
        "input: {length: 8, features: 4}", "rnn: [{type: gru, units: 3}, {type: max_pool, size: 4}]"
    )
    assert lines(shorter)[0].split() == ["net", "ŷ₁", "ŷ₂"]


def test_a_join_has_a_line_from_each_output_that_it_takes() -> None:
    joined = "{type: concat, of: [input, low, high]}"
    cells = "{type: gru, units: 2, name: low}, {type: gru, units: 2, name: high}"
    of = network(NUMBERS, f"rnn: [{cells}, {joined}]")
    rows = lines(of)
    join = rows.index(row(of, "concat_1"))
    assert rows[join].count("╭─╭→[concat]") == rows[join].count("[concat]") > 1
    first = rows[join].index("╭")
    for place, layer in ((first, "input"), (first + 2, "low")):
        end = next(at for at, line in enumerate(rows[join:]) if line[place : place + 1] == "╰")
        assert all(line[place] == "│" for line in rows[join + 1 : join + end])
        assert rows[join + end + 1].startswith(layer)


def test_each_head_begins_at_the_output_of_the_trunk() -> None:
    heads = "heads: {first: {pooling: none, units: 1}, second: {pooling: mean}}"
    of = network(NUMBERS, "rnn: {type: gru, units: 3}", heads)
    rows = lines(of)
    results = [line.split()[1:] for line in rows if line.startswith("  → ") and "ŷ" in line]
    assert results == [["second", "ŷ"], ["first", "ŷ₁", "ŷ₂", "ŷ₃", "···", "ŷ₅₀₀"]]
    start = next(line for line in rows if line.startswith("  from gru_1"))
    assert start.count("●") == row(of, "gru_1").replace("GRU,", "").count("GRU")
    assert rows.index(start) < rows.index(row(of, "dense_1"))


def test_several_poolings_are_one_box() -> None:
    of = network(NUMBERS, "rnn: {type: gru, units: 3}", "head: {pooling: [mean, {attention: {}}]}")
    assert "─ mean, attention ─" in text(of)
    assert row(of, "concat_1").endswith("[concat]")


@cases(("steps", "cells"), [(2, 2), (4, 4), (10, 10), (500, 500)])
def test_as_many_steps_as_wanted(steps: int, cells: int) -> None:
    of = network(NUMBERS, "rnn: {type: simple, units: 3}", "head: {units: 1}")
    shown = text(of, steps=steps)
    (cell_row,) = [line for line in shown.splitlines() if line.startswith("simple_rnn_1")]
    assert cell_row.replace("RNN,", "").count("RNN") == cells
    assert ("···" in shown) == (steps < 500)


def test_a_network_too_wide_for_its_names_is_folded() -> None:
    long = "a" * 64
    of = network(NUMBERS, f"rnn: {{type: lstm, units: 3, bidirectional: true, name: {long}}}")
    assert text(of) == text(of, form="folded")


def test_the_name_stands_above_the_result_if_it_has_no_room_beside_it() -> None:
    cells = "rnn: {type: lstm, units: 3}"
    short, long = network(NUMBERS, cells), replace(network(NUMBERS, cells), name="a" * 64)
    assert lines(long) == ["a" * 64, lines(short)[0].replace("net", "   "), *lines(short)[1:]]


def test_many_layers_take_no_deeper_stack() -> None:
    of = network(NUMBERS, "rnn: {type: gru, units: 4, layers: 150, residual: true}")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        drawn = text(of)
    finally:
        sys.setrecursionlimit(before)
    assert drawn.count("┴") == 0
    assert drawn.count("GRU,") == 150


def test_free_text_of_a_spec_is_left_out() -> None:
    of = network(TOKENS, 'description: "</text> ]] <script>"', "rnn: {type: gru, units: 1}")
    assert text(of) == text(network(TOKENS, "rnn: {type: gru, units: 1}"))

"""Every spec of the gallery, on every backend: the printed tables, and equality in full."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnspec
from rnnspec.backends import get

# Rows and totals as printed by the founding notes, keras.io and torchinfo; totals with a stock
# nn.LSTM where that is what was printed.
ROWS = {
    "standard_rnn": [320_000, 2_080, 33],
    "stacked_lstm": [320_000, 8_320, 8_320, 8_320, 33],
    "bidirectional_lstm": [320_000, 16_640, 65],
    "imdb_bidirectional_lstm": [2_560_000, 98_816, 98_816, 129],
    "weather_forecast_lstm": [5_120, 33],
    "mixed_gru_simple": [64_000, 247_296, 49_280, 1_290],
    "bidirectional_lstm_stack": [38_400, 41_216, 650],
    "four_simple_layers": [320_000, 2_080, 2_080, 2_080, 2_080],
    "narrowing_gru": [80_000, 1_248, 624, 168, 5],
    "gru_per_step": [820_224, 1_539],
    "torchinfo_stacked_lstm": [6_000, 1_665_024, 2_099_200, 10_260],
}
TOTALS = {
    "standard_rnn": 322_113,
    "stacked_lstm": 344_993,
    "bidirectional_lstm": 336_705,
    "imdb_bidirectional_lstm": 2_757_761,
    "weather_forecast_lstm": 5_153,
    "mixed_gru_simple": 361_866,
    "bidirectional_lstm_stack": 80_266,
    "four_simple_layers": 328_320,
    "narrowing_gru": 82_045,
    "gru_per_step": 821_763,
    "torchinfo_stacked_lstm": 3_780_484,
}


def test_the_gallery_is_the_one_with_printed_tables(gallery_spec: Path) -> None:
    spec = rnnspec.load(gallery_spec)
    assert spec.name == gallery_spec.stem
    assert spec.expect.parameters == TOTALS[spec.name]


def test_the_summary_is_the_printed_table(gallery_spec: Path) -> None:
    found = rnnspec.summary(gallery_spec)
    assert [row.parameters for row in found.layers] == ROWS[found.name]
    assert found.parameters.total == found.parameters.trainable == TOTALS[found.name]


def test_the_live_model_counts_the_printed_table(gallery_spec: Path, backend: str) -> None:
    model, runtime = rnnspec.build(gallery_spec, backend), get(backend).runtime
    found = rnnspec.summary(gallery_spec)
    assert [runtime.layer_count(model, row.name) for row in found.layers] == ROWS[found.name]
    assert runtime.counts(model).total == TOTALS[found.name]


def test_every_backend_computes_the_same(gallery_spec: Path) -> None:
    report = rnnspec.parity(gallery_spec)
    assert report.equal, report.differences
    (spec,) = report.specs
    for account in spec.backends.values():
        assert 0.0 < account.forward_max_difference < 1e-12


def test_parity_says_where_the_4096_of_torchinfo_go(request: pytest.FixtureRequest) -> None:
    path = request.config.rootpath / "specs" / "torchinfo_stacked_lstm.yaml"
    (spec,) = rnnspec.parity(path, ["torch"]).specs
    more = {
        stock.layer: stock.parameters - spec.layers[stock.layer] for stock in spec.stock["torch"]
    }
    assert more == {"lstm_1": 2_048, "lstm_2": 2_048}
    assert spec.parameters.total + sum(more.values()) == 3_784_580


def test_what_stock_layers_would_hold_is_what_they_hold(gallery_spec: Path) -> None:
    from torch import nn

    (spec,) = rnnspec.parity(gallery_spec, ["torch"]).specs
    model = rnnspec.build(gallery_spec, "torch")
    for stock in spec.stock["torch"]:
        own = model.get_submodule(stock.layer)
        cell = own if isinstance(own, nn.RNNBase) else own.forward_layer
        both = cell.bidirectional or own is not cell
        stock_class = getattr(nn, stock.type.removeprefix("nn."))
        made = stock_class(cell.input_size, cell.hidden_size, bidirectional=both)
        assert sum(p.numel() for p in made.parameters()) == stock.parameters

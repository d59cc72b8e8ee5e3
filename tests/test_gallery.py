"""The gallery: the printed tables of its sources, and equality on every backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from conftest import GALLERY
from covering import covering, features
from offered import require_all
from small_networks import in_small

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.needs import level
from rnnspec.ir.nodes import Recurrent
from rnnspec.ir.params import counts

# Rows and totals as in the sources that the specs cite. If these used PyTorch's own layers, which
# have a second bias, the numbers are without it. Dropout has a row of 0.
ROWS = {
    "phoneme_peephole_bilstm": [89_838, 11_407],
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
    "torchinfo_packed_lstm": [7_680, 20_608, 0, 594],
    "text_generation_gru": [16_640, 3_935_232, 66_625],
    "packed_sentiment_lstm": [2_500_200, 0, 731_136, 0, 1_574_912, 0, 513],
    "gru_stack_both_ways": [660, 1_320],
    "addition_seq2seq": [72_192, 0, 131_584, 1_548],
    "frozen_embedding_lstm": [2_000_000, 34_048, 0, 65],
    "imdb_recurrent_dropout": [2_560_000, 131_584, 129],
    "dialogue_policy_lstm": [6_528, 396],
    "anomaly_autoencoder": [66_560, 0, 0, 131_584, 0, 129],
    "appliance_bilstm": [80, 148_480, 1_050_624, 65_664, 129],
    "appliance_window_gru": [80, 31_488, 0, 198_144, 0, 32_896, 0, 129],
    "direct_forecast_lstm": [66_560, 131_584, 0, 16_512, 129],
    "emoji_attention_lstm": [12_800_000, 0, 3_149_824, 6_295_552, 0, 2_304, 147_520],
    "human_activity_lstm": [320, 8_320, 8_320, 198],
    "music_generation_lstm": [67_584, 16_512, 129, 129],
    "noise_suppression_gru": [1_032, 3_528, 0, 20_016, 0, 60_768, 2_134],
    "regulatory_dna_bilstm": [33_600, 0, 0, 1_640_960, 0, 0, 44_400_925, 850_994],
    "review_conv_lstm": [160_000, 3_104, 0, 53_200, 101],
    "rna_conv_bilstm": [7_250, 437_750, 0, 161_280, 0, 0, 0, 897],
    "seizure_conv_lstm": [
        960,
        0,
        12_352,
        12_352,
        0,
        12_352,
        12_352,
        256,
        33_024,
        33_024,
        12_416,
        165,
    ],
    "sentiment_conv_lstm": [2_560_000, 0, 41_024, 0, 37_800, 71],
    "skip_conv_gru": [100, 2_520, 2_520, 210],
    "stock_price_lstm": [10_400, 0, 20_200, 0, 20_200, 0, 20_200, 0, 51],
    "temperature_conv_gru": [2_272, 0, 5_152, 6_240, 33],
    "text_rcnn": [1_428_600, 1_140_736, 0, 0, 0, 8_130],
    "tied_word_model": [6_655_600, 0, 320_800, 0, 320_800, 0, 33_278],
    "trigger_word_gru": [297_136, 784, 0, 0, 124_800, 0, 512, 98_688, 0, 512, 0, 129],
    "active_learning_bilstm": [384_000, 41_216, 0, 1_300, 0, 21],
    "block_rnn_forecast": [700, 1_275, 156],
    "chorale_conv_lstm": [235, 352, 128, 3_120, 192, 6_208, 256, 12_384, 384, 361_472, 12_079],
    "heartbeat_conv_lstm": [256, 0, 0, 3_088, 0, 0, 64, 2_112, 17],
    "methylation_conv_bilstm": [1_950, 0, 285_696, 0, 0, 257],
    "pooled_gru": [9_000_000, 0, 182_880, 0, 0, 0, 1_926],
    "pos_tagger_bilstm": [886_600, 0, 234_496, 0, 394_240, 0, 4_626],
    "recurrent_actor_critic": [267_264, 16_448, 4_160, 130, 16_448, 4_160, 65],
    "session_gru": [3_748_300, 60_600, 37_483],
    "speech_clipped_lstm": [49_500, 0, 10_100, 0, 10_100, 0, 80_400, 10_100, 0, 2_929],
    "sst2_attention_bilstm": [4_056_900, 0, 1_140_736, 0, 131_584, 0, 131_328, 0, 256],
    "weight_dropped_lstm": [4_000_000, 0, 7_134_600, 0, 10_584_600, 0, 2_481_600, 0, 10_000],
    "intent_slot_lstm": [258_900, 400_800, 26_130, 0, 5_226],
    "sleep_stage_gru": [144, 2_368, 3_552, 1_248, 68],
    "sketch_conv_lstm": [512, 128, 10_304, 256, 24_704, 512, 131_584, 131_584, 44_505],
}
TOTALS = {
    "phoneme_peephole_bilstm": 101_245,
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
    "torchinfo_packed_lstm": 28_882,
    "text_generation_gru": 4_018_497,
    "packed_sentiment_lstm": 4_806_761,
    "gru_stack_both_ways": 1_980,
    "addition_seq2seq": 205_324,
    "frozen_embedding_lstm": 2_034_113,
    "imdb_recurrent_dropout": 2_691_713,
    "dialogue_policy_lstm": 6_924,
    "anomaly_autoencoder": 198_273,
    "appliance_bilstm": 1_264_977,
    "appliance_window_gru": 262_737,
    "direct_forecast_lstm": 214_785,
    "emoji_attention_lstm": 22_395_200,
    "human_activity_lstm": 17_158,
    "music_generation_lstm": 84_354,
    "noise_suppression_gru": 87_478,
    "regulatory_dna_bilstm": 46_926_479,
    "review_conv_lstm": 216_405,
    "rna_conv_bilstm": 607_177,
    "seizure_conv_lstm": 129_253,
    "sentiment_conv_lstm": 2_638_895,
    "skip_conv_gru": 5_350,
    "stock_price_lstm": 71_051,
    "temperature_conv_gru": 13_697,
    "text_rcnn": 2_577_466,
    "tied_word_model": 7_330_478,
    "trigger_word_gru": 522_561,
    "active_learning_bilstm": 426_537,
    "block_rnn_forecast": 2_131,
    "chorale_conv_lstm": 396_810,
    "heartbeat_conv_lstm": 5_537,
    "methylation_conv_bilstm": 287_903,
    "pooled_gru": 9_184_806,
    "pos_tagger_bilstm": 1_519_962,
    "recurrent_actor_critic": 308_675,
    "session_gru": 3_846_383,
    "speech_clipped_lstm": 163_129,
    "sst2_attention_bilstm": 5_460_804,
    "weight_dropped_lstm": 24_210_800,
    "intent_slot_lstm": 691_056,
    "sleep_stage_gru": 7_380,
    "sketch_conv_lstm": 344_089,
}
FROZEN = {
    "frozen_embedding_lstm": 2_000_000,
    "seizure_conv_lstm": 128,
    "trigger_word_gru": 904,
    "chorale_conv_lstm": 480,
    "heartbeat_conv_lstm": 32,
    "sketch_conv_lstm": 448,
    "sleep_stage_gru": 72,
}
PRINTED = {
    "torchinfo_stacked_lstm": 3_784_580,
    "torchinfo_packed_lstm": 29_010,
    "packed_sentiment_lstm": 4_810_857,
    "intent_slot_lstm": 691_856,
}
"""The totals that the sources print for PyTorch's own layers."""
KERAS_TYPES = {
    "AttentionPooling": ("Dense",),
    "BatchNorm": ("BatchNormalization",),
    "Concat": ("Concatenate",),
    "Conv": ("Conv1D",),
    "Dropout": ("Dropout", "SpatialDropout1D"),
    "Embedding": ("Embedding", "ReversibleEmbedding"),
    "MaxPool": ("MaxPooling1D",),
    "MaxPooling": ("GlobalMaxPooling1D",),
    "MeanPooling": ("GlobalAveragePooling1D",),
}
"""Types of layers that Keras names otherwise."""
_LAST_STEP = ["Cast", "Cumsum", "GetItem", "Equal", "LogicalAnd"]
_SOFTMAX = ["Where", "ExpandDims", "Softmax", "Where", "Einsum"]
KERAS_OWN = {
    "dialogue_policy_lstm": ["NotEqual", "Masking", "Any"],
    "direct_forecast_lstm": ["GetItem"],
    "emoji_attention_lstm": ["NotEqual", "NotEqual", "ExpandDims", *_SOFTMAX],
    "intent_slot_lstm": ["NotEqual", *_LAST_STEP, "NotEqual", "ExpandDims", "Where", "Sum"],
    "sleep_stage_gru": ["Masking"],
    "sst2_attention_bilstm": ["NotEqual", "NotEqual", "ExpandDims", "Dense", *_SOFTMAX],
    "tied_word_model": ["GetItem", "Add", "Activation"],
}
"""Rows that Keras adds: for masks, attention, slices and tied kernels."""


@cases("gallery_spec", GALLERY)
def test_a_network_in_small_has_all_that_the_network_has(gallery_spec: Path) -> None:
    whole, small = (
        pipeline.read(gallery_spec).network,
        pipeline.reads(in_small(gallery_spec)).network,
    )
    assert set(features(small)) == set(features(whole))
    assert len(small.layers) == len(whole.layers)
    assert counts(small).total < 1500


@cases("gallery_spec", GALLERY)
def test_the_summary_is_the_printed_table(gallery_spec: Path) -> None:
    spec = rnnspec.load(gallery_spec)
    assert spec.name == gallery_spec.stem
    assert spec.expect.parameters == TOTALS[spec.name]
    found = rnnspec.summary(spec)
    assert [row.parameters for row in found.layers] == ROWS[found.name]
    assert found.parameters.total == TOTALS[found.name]
    assert found.parameters.non_trainable == FROZEN.get(found.name, 0)


def test_keras_prints_the_layers_of_the_spec_and_nothing_else(
    covering_spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    monkeypatch.setenv("COLUMNS", "200")
    printed = rows_of(rnnspec.build(covering_spec, "keras"))
    found = rnnspec.summary(covering_spec)
    # The steps that are kept are operations in Keras.
    kept = ("LastPooling", "LastSteps")
    layers = {layer.name: layer for layer in found.layers if layer.type not in kept}
    own = [type_ for name, type_, _ in printed if name not in layers and type_ != "InputLayer"]
    assert own == KERAS_OWN.get(found.name, [])
    rows = [(name, type_) for name, type_, _ in printed if name in layers]
    # Keras has the layers of several heads in turn.
    order = sorted if found.outputs else list
    assert order(name for name, _ in rows) == order(layers)
    for name, type_ in rows:
        assert type_ in KERAS_TYPES.get(layers[name].type, (layers[name].type,))
        # In Keras the scores of attention are a layer of their own.
        parts = [count for row, _, count in printed if row in (name, f"{name}_query")]
        assert sum(parts) == layers[name].parameters


def rows_of(model: Any) -> list[tuple[str, str, int]]:
    """Return the name, the type and the count of each row that ``model.summary()`` prints."""
    printed: list[str] = []
    model.summary(line_length=200, print_fn=lambda text, **_: printed.append(text))
    rows = re.findall(r"^│ (\w+) \((\w+)\) +│[^│]*│ +([\d,]+) ", "".join(printed), re.MULTILINE)
    return [(name, type_, int(count.replace(",", ""))) for name, type_, count in rows]


@pytest.mark.parametrize("path", covering(GALLERY), ids=lambda path: path.stem)
def test_every_backend_has_the_printed_table_and_computes_the_same(path: Path) -> None:
    has_the_printed_table_and_computes_the_same(path)


def has_the_printed_table_and_computes_the_same(path: Path) -> None:
    require_all(level("forward"))
    # With a million parameters and more, drawing them takes longer than all else.
    is_large = TOTALS[path.stem] > 1_000_000
    report = rnnspec.parity(path, level="counts" if is_large else "forward")
    assert report.equal, report.differences
    (spec,) = report.specs
    for account in spec.backends.values():
        assert list(account.layers.values()) == ROWS[spec.name]
        assert account.parameters == spec.parameters
    if is_large:
        report = rnnspec.parity(rnnspec.loads(in_small(path)), level="forward")
        assert report.equal, report.differences
        (spec,) = report.specs
    # The toy backend computes as the reference does, to the bit.
    differences = [account.forward_max_difference for account in spec.backends.values()]
    assert 0.0 < max(differences) < 1e-12


@cases("name", list(PRINTED))
def test_parity_says_what_the_source_printed(name: str, request: pytest.FixtureRequest) -> None:
    path = request.config.rootpath / "specs" / f"{name}.yaml"
    (spec,) = rnnspec.parity(path, ["torch"], level="counts").specs
    second = sum(stock.parameters - spec.layers[stock.layer] for stock in spec.stock["torch"])
    assert spec.parameters.total + second == PRINTED[name]


def test_what_stock_layers_would_hold_is_what_they_hold(covering_spec: Path) -> None:
    from torch import nn

    (spec,) = rnnspec.parity(covering_spec, ["torch"], level="counts").specs
    model = rnnspec.build(covering_spec, "torch")
    arranged = pipeline.arrange(pipeline.read(covering_spec), get("torch"))
    layers = {layer.name: layer for layer in arranged.layers}
    for stock in spec.stock["torch"]:
        layer = layers[stock.layer]
        assert isinstance(layer, Recurrent)
        own = model.get_submodule(get("torch").slots.module(layer))
        cells = [module for module in own.modules() if isinstance(module, nn.RNNBase)]
        both = cells[0].bidirectional or len(cells) == 2
        stock_class = getattr(nn, stock.type.removeprefix("nn."))
        made = stock_class(layer.features, layer.units, bidirectional=both)
        assert sum(p.numel() for p in made.parameters()) == stock.parameters

"""The gallery: the printed tables of its sources, and equality on every backend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cases import cases
from conftest import GALLERY, ROOT
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
# have a second bias, the numbers are without it. Layers without parameters are left out.
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
    "music_separation_lstm": [
        *(2_974, 1_522_688, 2_048, 1_574_912, 1_574_912, 1_574_912),
        *(524_288, 2_048, 2_098_176, 16_392, 4_098),
    ],
    "narrowing_gru": [80_000, 1_248, 624, 168, 5],
    "gru_per_step": [820_224, 1_539],
    "torchinfo_stacked_lstm": [6_000, 1_665_024, 2_099_200, 10_260],
    "torchinfo_packed_lstm": [7_680, 20_608, 594],
    "text_generation_gru": [16_640, 3_935_232, 66_625],
    "packed_sentiment_lstm": [2_500_200, 731_136, 1_574_912, 513],
    "gru_stack_both_ways": [660, 1_320],
    "addition_seq2seq": [72_192, 131_584, 1_548],
    "frozen_embedding_lstm": [2_000_000, 34_048, 65],
    "imdb_recurrent_dropout": [2_560_000, 131_584, 129],
    "dialogue_policy_lstm": [6_528, 396],
    "anomaly_autoencoder": [66_560, 131_584, 129],
    "appliance_bilstm": [80, 148_480, 1_050_624, 65_664, 129],
    "appliance_window_gru": [80, 31_488, 198_144, 32_896, 129],
    "direct_forecast_lstm": [66_560, 131_584, 16_512, 129],
    "emoji_attention_lstm": [12_800_000, 3_149_824, 6_295_552, 2_304, 147_520],
    "human_activity_lstm": [320, 8_320, 8_320, 198],
    "music_generation_lstm": [67_584, 16_512, 129, 129],
    "regulatory_dna_bilstm": [33_600, 1_640_960, 44_400_925, 850_994],
    "review_conv_lstm": [160_000, 3_104, 53_200, 101],
    "rna_conv_bilstm": [7_250, 437_750, 161_280, 897],
    "seizure_conv_lstm": [960, 12_352, 12_352, 12_352, 12_352, 256, 33_024, 33_024, 12_416, 165],
    "sentiment_conv_lstm": [2_560_000, 41_024, 37_800, 71],
    "skip_conv_gru": [100, 2_520, 2_520, 210],
    "stock_price_lstm": [10_400, 20_200, 20_200, 20_200, 51],
    "temperature_conv_gru": [2_272, 5_152, 6_240, 33],
    "text_rcnn": [1_428_600, 1_140_736, 8_130],
    "sentence_similarity_lstm": [70_200],
    "session_attention_gru": [2_758_272, 73_728, 32_896, 16_384],
    "stock_attention_gru": [448, 24_960, 24_960, 2_112, 129],
    "timbre_decoder_gru": [
        *[1_024, 1_024, 262_656, 1_024, 262_656, 1_024, 2_362_368, 263_680, 1_024],
        *[262_656, 1_024, 262_656, 1_024, 51_813, 33_345],
    ],
    "catchment_ea_lstm": [208_384, 257],
    "convex_hull_pointer_lstm": [265_216, 265_216, 65_536, 65_536, 256],
    "energy_forecast_lstm": [7_400, 10_560, 12_960, 12_960, 121, 121],
    "variant_caller_bilstm": [150_528, 533_760, 1_351_808, 16_512, 2_709, 16_512, 387],
    "icu_mortality_gru_d": [18_817, 50],
    "tied_word_model": [6_655_600, 320_800, 320_800, 33_278],
    "trigger_word_gru": [297_136, 784, 124_800, 512, 98_688, 512, 129],
    "active_learning_bilstm": [384_000, 41_216, 1_300, 21],
    "block_rnn_forecast": [700, 1_275, 156],
    "chorale_conv_lstm": [235, 352, 128, 3_120, 192, 6_208, 256, 12_384, 384, 361_472, 12_079],
    "heartbeat_conv_lstm": [256, 3_088, 64, 2_112, 17],
    "methylation_conv_bilstm": [1_950, 285_696, 257],
    "pooled_gru": [9_000_000, 182_880, 1_926],
    "pos_tagger_bilstm": [886_600, 234_496, 394_240, 4_626],
    "recurrent_actor_critic": [267_264, 16_448, 4_160, 130, 16_448, 4_160, 65],
    "session_gru": [3_748_300, 60_600, 37_483],
    "speech_clipped_lstm": [49_500, 10_100, 10_100, 80_400, 10_100, 2_929],
    "sst2_attention_bilstm": [4_056_900, 1_140_736, 131_584, 131_328, 256],
    "weight_dropped_lstm": [4_000_000, 7_134_600, 10_584_600, 2_481_600, 10_000],
    "intent_slot_lstm": [258_900, 400_800, 26_130, 5_226],
    "sleep_stage_gru": [144, 2_368, 3_552, 1_248, 68],
    "sketch_conv_lstm": [512, 128, 10_304, 256, 24_704, 512, 131_584, 131_584, 44_505],
    "amplifier_capture_lstm": [1_476, 2_700, 2_700, 19],
    "calendar_forecast_lstm": [2_800, 21],
    "character_decoder_lstm": [358_400, 23_901],
    "character_translation_lstm": [335_872, 358_400, 23_901],
    "compressor_lstm": [4_608, 33],
    "encoder_decoder_lstm": [64_000, 128_000, 33_024, 33_024, 650],
    "gesture_lstm_fcn": [
        60_800,
        21_504,
        512,
        1_024,
        1_024,
        163_840,
        1_024,
        4_096,
        4_096,
        98_304,
        512,
        1_374,
    ],
    "guitar_amplifier_lstm": [4_352, 33],
    "handwriting_lstm": [646_400, 1_286_400, 1_286_400, 145_321],
    "headline_popularity_lstm": [5_120_000, 69_760, 33, 2_432, 4_160, 4_160, 65],
    "household_forecast_lstm": [7_400, 10_560, 12_960, 12_960, 121, 121],
    "lstm_actor_dense_critic": [267_264, 1_280, 16_448, 4_160, 130, 16_448, 4_160, 65],
    "many_windows_rcnn": [250_000, 183_296, 39_296, 78_464, 117_632, 156_800, 195_968, 1_281],
    "noise_suppression_conv_gru": [25_088, 147_840, 887_040, 887_040, 887_040, 49_184, 1_537],
    "noise_suppression_gru": [1_032, 3_528, 20_016, 60_768, 2_134, 25],
    "opposite_words_rnn": [20_224, 20_224, 3_741],
    "outline_lstm_fcn": [5_920, 1_152, 512, 164_096, 1_024, 98_432, 512, 5_069],
    "photo_caption_lstm": [1_940_224, 1_048_832, 525_312, 65_792, 1_947_803],
    "piano_performance_gru": [
        57_600,
        16_896,
        16_896,
        16_896,
        136_192,
        1_575_936,
        1_575_936,
        1_575_936,
        123_120,
    ],
    "protein_structure_bilstm": [
        206_432,
        411_232,
        456,
        9_330_688,
        25_174_016,
        16_392,
        6_147,
        4_098,
        2_049,
        4_098,
        4_098,
    ],
    "sentence_query_bilstm": [32, 320, 22],
    "sentence_translation_gru": [3_840_000, 3_840_000, 7_876_608, 3_938_304, 15_375_000],
    "sketch_decoder_lstm": [66_048, 66_048, 1_323_008, 63_099],
    "story_question_lstm": [1_800, 1_800, 20_200, 20_200, 1_836],
    "streamflow_lstm": [81_920, 129],
    "text_question_lstm": [640_000, 320_000, 12_416, 3_136, 24_500],
    "ticket_routing_lstm": [640_000, 640_000, 98_816, 12_416, 173, 692],
    "chatbot_attention_gru": [
        3_913_000,
        1_503_000,
        1_503_000,
        4_506_000,
        1_503_000,
        1_503_000,
        500_500,
        3_920_826,
    ],
    "textbook_attention_gru": [80, 80, 1_248, 1_632, 256, 3_920, 170],
    "textbook_seq2seq_gru": [80, 80, 1_248, 1_632, 2_016, 1_632, 170],
    "translation_attention_gru": [
        2_010_368,
        1_508_608,
        2_365_440,
        524_800,
        524_800,
        3_018_240,
        10_566_149,
    ],
    "translation_context_gru": [2_010_368, 1_508_608, 1_182_720, 1_969_152, 7_548_933],
    "translation_seq2seq_lstm": [
        2_010_368,
        1_508_608,
        1_574_912,
        2_099_200,
        1_574_912,
        2_099_200,
        3_023_109,
    ],
    "two_lstm_actor_critic": [267_264, 267_264, 16_448, 4_160, 130, 16_448, 4_160, 65],
    "weather_change_lstm": [6_656, 627],
    "word_context_rcnn": [250_000, 22_912, 22_912, 19_648, 65],
    "world_model_lstm": [299_008, 41_120, 41_120, 1_285, 257, 257],
    "inference_esim_bilstm": [12_718_200, 1_442_400, 720_300, 1_442_400, 720_300, 903],
    "inference_match_lstm": [270_600, 270_600, 22_500, 315_750, 453],
    "inference_max_bilstm": [38_486_016, 8_389_120, 262_656, 1_539],
    "retail_forecast_lstm": [4_202_496, 8_392_704, 1_025],
    "translation_input_feeding_lstm": [
        *[25_002_000, 25_001_000, 2_002_000, 2_002_000, 5_754_000, 25_051_002],
    ],
}
TOTALS = {name: sum(rows) for name, rows in ROWS.items()}
FROZEN = {
    "frozen_embedding_lstm": 2_000_000,
    "seizure_conv_lstm": 128,
    "trigger_word_gru": 904,
    "chorale_conv_lstm": 480,
    "heartbeat_conv_lstm": 32,
    "sketch_conv_lstm": 448,
    "sleep_stage_gru": 72,
    "gesture_lstm_fcn": 1_024,
    "music_separation_lstm": 10_244,
    "outline_lstm_fcn": 1_024,
    "protein_structure_bilstm": 228,
}
PRINTED = {
    "torchinfo_stacked_lstm": 3_784_580,
    "torchinfo_packed_lstm": 29_010,
    "packed_sentiment_lstm": 4_810_857,
    "intent_slot_lstm": 691_856,
    "amplifier_capture_lstm": 7_111,
    "calendar_forecast_lstm": 2_901,
    "compressor_lstm": 4_769,
    "gesture_lstm_fcn": 357_486,
    "guitar_amplifier_lstm": 4_513,
    "handwriting_lstm": 3_369_321,
    "household_forecast_lstm": 44_602,
    "lstm_actor_dense_critic": 310_979,
    "opposite_words_rnn": 44_445,
    "protein_structure_bilstm": 35_175_862,
    "sentence_query_bilstm": 414,
    "sketch_decoder_lstm": 1_520_251,
    "streamflow_lstm": 82_561,
    "translation_seq2seq_lstm": 13_898_501,
    "two_lstm_actor_critic": 577_987,
    "world_model_lstm": 384_071,
}
"""The totals that the sources print for PyTorch's own layers."""
KERAS_TYPES = {
    "Activation": ("Activation", "LeakyReLU"),
    "Attention": ("Dense",),
    "AttentionPooling": ("Dense",),
    "BatchNorm": ("BatchNormalization",),
    "Concat": ("Concatenate",),
    "Conv": ("Conv1D",),
    "Dropout": ("Dropout", "SpatialDropout1D"),
    "EaLstm": ("SharingRNN",),
    "Embedding": ("Embedding", "ReversibleEmbedding"),
    "Formula": (
        *("StandardizedFormula", "SeparatedFormula", "SimilarityFormula", "WeightedFormula"),
        *("PairFormula", "EnhancedFormula", "Enhanced2Formula"),
    ),
    "GRU": ("GRU", "AttentionRNN"),
    "GruD": ("SharingRNN",),
    "InputFeedingLstm": ("SharingAttentionRNN",),
    "MatchLstm": ("SharingAttentionRNN",),
    "MaxPool": ("MaxPooling1D",),
    "MaxPooling": ("GlobalMaxPooling1D",),
    "MeanPooling": ("GlobalAveragePooling1D",),
    "Transpose": ("Permute",),
    "TwoGrus": ("SharingAttentionRNN",),
}
"""Types of layers that Keras names otherwise."""
_LAST_STEP = ["Cast", "Cumsum", "GetItem", "Equal", "LogicalAnd"]
_SOFTMAX = ["Where", "ExpandDims", "Softmax", "Where", "Einsum"]
_AT_EACH_STEP = ["GetItem", "OnesLike", "Einsum"]
KERAS_OWN = {
    "amplifier_capture_lstm": 3 * ["GetItem", "GetItem", "OnesLike", "OnesLike", "Dense", "Dense"],
    "chatbot_attention_gru": [
        *["NotEqual", "NotEqual", "Flip", "NotEqual"],
        *["ExpandDims", "Einsum", "Where", "Softmax", "Where", "Einsum"],
    ],
    "catchment_ea_lstm": ["GetItem", "OnesLike", "Einsum"],
    "convex_hull_pointer_lstm": [
        *["ExpandDims", "ExpandDims", "Add", "Activation", "GetItem", "Softmax"],
    ],
    "energy_forecast_lstm": ["GetItem", "OnesLike", "Einsum"],
    "session_attention_gru": ["NotEqual", "ExpandDims", "Where", "Sum"],
    "stock_attention_gru": ["Dense", "Softmax", "GetItem", "Einsum"],
    "gesture_lstm_fcn": ["ExpandDims", "ExpandDims"],
    "household_forecast_lstm": _AT_EACH_STEP,
    "sentence_query_bilstm": ["Concatenate", "Einsum", "ExpandDims", "Softmax", "Einsum"],
    "sentence_similarity_lstm": ["NotEqual", "NotEqual", *2 * ["Masking", "Any"]],
    "sentence_translation_gru": ["NotEqual", "NotEqual"],
    "story_question_lstm": _AT_EACH_STEP,
    "textbook_attention_gru": ["NotEqual", "NotEqual"],
    "translation_attention_gru": ["Concatenate", "GetItem", "GetItem"],
    "translation_input_feeding_lstm": ["NotEqual", "NotEqual", "ZerosLike"],
    "weight_dropped_lstm": ["GetItem", "Add"],
    "word_context_rcnn": ["Flip"],
    "direct_forecast_lstm": ["GetItem"],
    "emoji_attention_lstm": ["NotEqual", "NotEqual", "ExpandDims", *_SOFTMAX],
    "inference_esim_bilstm": [
        *["NotEqual", "NotEqual", "NotEqual", "NotEqual"],
        *["ExpandDims", "Einsum", "ExpandDims", "Einsum", "Where", "Where", "Softmax", "Softmax"],
        *["Where", "Where", "Einsum", "Einsum"],
        *["ExpandDims", "ExpandDims", "ExpandDims", "ExpandDims"],
        *["Where", "Sum", "Where", "Where", "Sum", "Where"],
        *["Sum", "Maximum", "Any", "Max", "Sum", "Maximum", "Any", "Max"],
        *["TrueDivide", "Where", "TrueDivide", "Where"],
    ],
    "inference_match_lstm": [
        *["NotEqual", "NotEqual", "Masking", "Any", "Masking", "Any"],
        *["NotEqual", "NotEqual", "Any", "Any"],
    ],
    "inference_max_bilstm": [
        *["NotEqual", "NotEqual", "NotEqual", "NotEqual"],
        *["Any", "Masking", "Any", "Any", "Masking", "Any", "ExpandDims", "ExpandDims"],
        *["Where", "Where", "Any", "Max", "Any", "Max", "Where", "Where"],
    ],
    "intent_slot_lstm": ["NotEqual", *_LAST_STEP, "NotEqual", "ExpandDims", "Where", "Sum"],
    "sleep_stage_gru": ["Masking"],
    "sst2_attention_bilstm": ["NotEqual", "NotEqual", "ExpandDims", "Dense", *_SOFTMAX],
}
"""Rows that Keras adds: for masks, attention, slices, tied kernels and vectors at each step."""
OPERATIONS = {
    "chatbot_attention_gru": {"answer_embedding", "context"},
    "inference_esim_bilstm": {
        *("hypothesis_embedding", "encoder_2", "found", "found_2", "projection_2"),
        *("composition_2", "mean_pooling_1", "max_pooling_1", "mean_pooling_2", "max_pooling_2"),
    },
    "inference_max_bilstm": {"u", "v", "other_sentence"},
    "sentence_query_bilstm": {"attention_pooling_1"},
    "sentence_similarity_lstm": {"other_sentence"},
    "session_attention_gru": {"dense_2", "purpose"},
    "story_question_lstm": {"repeat_vector_1"},
    "timbre_decoder_gru": {
        *("dense_4", "dense_5", "dense_6"),
        *(f"layer_normalization_{number}" for number in (4, 5, 6)),
    },
    "word_context_rcnn": {"left_embedding", "right_embedding"},
}
"""Layers that are operations in Keras, or calls of another layer."""


@cases("gallery_spec", GALLERY)
def test_a_network_in_small_has_all_that_the_network_has(gallery_spec: Path) -> None:
    whole, small = (
        pipeline.read(gallery_spec).network,
        pipeline.reads(in_small(gallery_spec)).network,
    )
    assert set(features(small)) == set(features(whole))
    assert len(small.layers) == len(whole.layers)
    assert counts(small).total < 6000


@cases("gallery_spec", GALLERY)
def test_the_summary_is_the_printed_table(gallery_spec: Path) -> None:
    spec = rnnspec.load(gallery_spec)
    assert spec.name == gallery_spec.stem
    assert spec.expect.parameters == TOTALS[spec.name]
    found = rnnspec.summary(spec)
    assert [row.parameters for row in found.layers if row.parameters] == ROWS[found.name]
    assert found.parameters.total == TOTALS[found.name]
    assert found.parameters.non_trainable == FROZEN.get(found.name, 0)


def test_keras_prints_the_layers_of_the_spec_and_nothing_else(
    covering_spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("keras")
    monkeypatch.setenv("COLUMNS", "200")
    printed = rows_of(rnnspec.build(covering_spec, "keras"))
    found = rnnspec.summary(covering_spec)
    # The steps and states that are kept are operations in Keras, or outputs of other layers.
    kept, operations = (
        ("LastPooling", "LastSteps"),
        OPERATIONS.get(found.name, set()),
    )
    layers = {
        layer.name: layer
        for layer in found.layers
        if layer.type not in kept and layer.name not in operations
    }
    own = [type_ for name, type_, _ in printed if name not in layers and type_ != "InputLayer"]
    assert own == KERAS_OWN.get(found.name, [])
    rows = [(name, type_) for name, type_, _ in printed if name in layers]
    # Keras has the layers of several branches in turn.
    is_chain = all(layer.of is None for layer in rnnspec.load(covering_spec).rnn)
    order = list if is_chain and not found.outputs else sorted
    assert order(name for name, _ in rows) == order(layers)
    for name, type_ in rows:
        assert type_ in KERAS_TYPES.get(layers[name].type, (layers[name].type,))
        # In Keras the scores of an attention pooling are a layer of their own.
        rows_of_it = {name, *({f"{name}_query"} - layers.keys())}
        parts = [count for row, _, count in printed if row in rows_of_it]
        assert sum(parts) == layers[name].parameters


def rows_of(model: Any) -> list[tuple[str, str, int]]:
    """Return the name, the type and the count of each row that ``model.summary()`` prints."""
    printed: list[str] = []
    model.summary(line_length=200, print_fn=lambda text, **_: printed.append(text))
    rows = re.findall(r"^│ (\w+) \((\w+)\) +│[^│]*│ +([\d,]+) ", "".join(printed), re.MULTILINE)
    return [(name, type_, int(count.replace(",", ""))) for name, type_, count in rows]


LARGE = 100_000
"""Parameters of a network that is built in small here, and as it is in tests/extended."""


@pytest.mark.parametrize("path", covering(GALLERY), ids=lambda path: path.stem)
def test_every_backend_has_the_printed_table_and_computes_the_same(path: Path) -> None:
    if TOTALS[path.stem] > LARGE:
        computes_the_same(rnnspec.loads(in_small(path)))
    else:
        has_the_printed_table_and_computes_the_same(path)


def has_the_printed_table_and_computes_the_same(path: Path) -> None:
    require_all(level("forward"))
    # With a million parameters and more, drawing them takes longer than all else.
    is_large = TOTALS[path.stem] > 1_000_000
    report = rnnspec.parity(path, level="counts") if is_large else computes_the_same(path)
    assert report.equal, report.differences
    (spec,) = report.specs
    for account in spec.backends.values():
        assert [count for count in account.layers.values() if count] == ROWS[spec.name]
        assert account.parameters == spec.parameters
    if is_large:
        computes_the_same(rnnspec.loads(in_small(path)))


def computes_the_same(source: Any) -> Any:
    """Compare a spec on every backend, and return the report."""
    require_all(level("forward"))
    report = rnnspec.parity(source, level="forward")
    assert report.equal, report.differences
    (spec,) = report.specs
    # The toy backend computes as the reference does, to the bit.
    differences = [account.forward_max_difference for account in spec.backends.values()]
    assert 0.0 < max(differences) < 1e-12
    return report


HUGE = 10_000_000
"""Parameters of a network that only tests/extended builds: it takes hundreds of megabytes."""


@cases("name", [name for name in PRINTED if TOTALS[name] < HUGE])
def test_parity_says_what_the_source_printed(name: str) -> None:
    says_what_the_source_printed(name)


def says_what_the_source_printed(name: str) -> None:
    """Check the number of parameters that the source of a network prints of its own model."""
    path = ROOT / "specs" / f"{name}.yaml"
    (spec,) = rnnspec.parity(path, ["torch"], level="counts").specs
    second = sum(stock.parameters - spec.layers[stock.layer] for stock in spec.stock["torch"])
    assert spec.parameters.trainable + second == PRINTED[name]


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

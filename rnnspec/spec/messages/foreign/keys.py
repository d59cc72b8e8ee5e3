"""Keys of other frameworks, with the equivalent key and its section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.spec.messages.foreign.reasons import reason_for
from rnnspec.spec.messages.foreign.spelling import squeezed

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each key of the language, with its foreign names. A name that occurs in several entries means the
# one in its own section, otherwise all of them in this order.
_PLACES = {
    ".initializers": "init initialization",
    "embedding.vocabulary": (
        "input_dim input_size max_features max_tokens max_words n_tokens n_vocab n_words ntoken "
        "ntokens num_embeddings num_tokens num_words size vocab vocab_size vocabulary_size"
    ),
    "input.length": (
        "batch_input_shape batch_shape input_length input_shape max_length max_len max_seq_len "
        "max_sequence_length maxlen n_steps num_steps seq_len seq_length sequence_length shape "
        "time_steps timesteps total_length window window_size"
    ),
    "input.features": (
        "batch_input_shape batch_shape in_features in_size input_dim input_features input_shape "
        "input_size n_features n_inputs num_features num_inputs shape"
    ),
    "input.mask_value": "mask mask_val masking pad_value padding padding_value",
    "embedding.dim": (
        "dimension dimensions dims emb_dim emb_size embed_dim embed_size embedding_dim "
        "embedding_size emsize ninp output_dim"
    ),
    "embedding.mask_zero": (
        "mask mask_token masking pad_id pad_idx pad_token padding padding_idx padding_token"
    ),
    "embedding.trainable": "freeze frozen requires_grad",
    "embedding.weights": (
        "embedding_file embedding_matrix embedding_weights glove pretrained pretrained_embeddings "
        "pretrained_weights vectors weight word2vec"
    ),
    "embedding.words": "vocab_file vocabulary_file word_file word_list",
    "rnn.type": "cell cell_type class class_name kind layer layer_type mode model rnn_type",
    "rnn.units": (
        "cell_size d_model gru_units hidden hidden_dim hidden_size hidden_units lstm_size "
        "lstm_units n_hidden n_units neurons nhid num_hidden num_neurons num_units "
        "rnn_size rnn_units size state_size width"
    ),
    "rnn.layers": (
        "depth hidden_layers n_layers n_stacks num_hidden_layers num_layers stack stacks"
    ),
    "rnn.steps": "n n_times num_repeats output_length repeats time_steps times timesteps",
    "rnn.bidirectional": "bidir bi is_bidirectional num_directions",
    "rnn.merge": "combine merge_mode",
    "rnn.dropout": (
        "drop drop_prob drop_rate dropout_prob dropout_rate dropout_w embed_dropout "
        "embedding_dropout input_dropout keep_prob p rate spatial_dropout"
    ),
    "rnn.recurrent_dropout": "dropout_u hidden_dropout rnn_dropout state_dropout",
    "rnn.variational": "noise_shape variational_dropout",
    "rnn.activation": "act act_fn activation_fn activation_function nonlinearity",
    "rnn.recurrent_activation": (
        "gate_activation inner_activation recurrent_act recurrent_nonlinearity"
    ),
    "rnn.bias": "biases use_bias",
    "rnn.layer_norm": "layer_normalization layernorm ln norm normalization normalize",
    "rnn.residual": "residual_connection residual_connections shortcut skip skip_connection",
    "head.units": (
        "classes labels n_classes n_labels n_outputs num_classes num_labels num_outputs "
        "out_dim out_features out_size output_dim output_features output_size output_units"
    ),
    "head.hidden": (
        "dense dense_layers dense_units fc hidden_dim hidden_layers hidden_size hidden_units mlp"
    ),
    "head.pooling": "aggregation global_pooling pool pooling_type reduce reduction",
    "head.dropout": "drop drop_prob drop_rate dropout_prob dropout_rate keep_prob p rate",
    "head.activation": (
        "act act_fn activation_fn activation_function final_activation nonlinearity "
        "out_activation output_activation"
    ),
    "head.bias": "biases use_bias",
    "initializers.kernel": (
        "initializer kernel_init kernel_initializer weight_ih weight_init weights_init "
        "weights_initializer"
    ),
    "initializers.recurrent": "recurrent_init recurrent_initializer weight_hh",
    "initializers.bias": "bias_hh bias_ih bias_init bias_initializer",
    "initializers.forget_bias": "forget_bias forget_gate_bias unit_forget_bias",
    "initializers.embedding": "embedding_init embeddings_initializer",
    "data.examples": "n_examples n_samples num_examples num_samples samples train_size",
    "expect.parameters": "n_params num_parameters num_params param_count params total_params",
    "expect.max_parameters": "max_params",
}
_OF_KEY: dict[str, dict[str, None]] = {}
for _place, _keys in _PLACES.items():
    for _key in _keys.split():
        _OF_KEY.setdefault(squeezed(_key), {})[_place] = None

# Foreign names that are valid for one section only. Most of them are keys of the language in other
# sections. 'hidden' is an item of head.hidden.
_THERE = {
    "": {
        "rnn": "encoder layers recurrent rnns",
        "head": "classifier dense fc mlp output outputs",
        "name": "title",
        "description": "comment comments notes summary",
    },
    "input": {"features": "dim size"},
    "embedding": {"dim": "units", "mask_zero": "mask_value"},
    "rnn": {"units": "dim output_dim"},
    "layer_norm": {"epsilon": "eps variance_epsilon"},
    "head": {"units": "dim", "hidden": "layers"},
    "hidden": {
        "units": (
            "dim hidden hidden_dim hidden_size hidden_units n_hidden n_units neurons nhid "
            "num_hidden num_neurons num_units size width"
        ),
    },
    "initializers": {"kernel": "weight weights", "bias": "biases", "embedding": "embeddings"},
    "data": {"examples": "count rows size"},
}
_ONLY_THERE = {
    part: {squeezed(key): name for name, keys in table.items() for key in keys.split()}
    for part, table in _THERE.items()
}

# Differences in meaning between a key and its foreign name.
_NOTES = {
    "freeze": ", with the opposite value",
    "frozen": ", with the opposite value",
    "layer": ", or 'layers' for the number of layers",
    "keepprob": ", which is 1 - keep_prob",
    "noiseshape": ": true for one mask for all time steps",
    "numdirections": ": true for two directions",
}

_FORMS = {
    "uniform": "a b bound high limit low max maxval min minval range",
    "normal": "deviation gaussian scale sd sigma std std_dev stddev",
    "constant": "c const fill val value",
}
_FORM_OF = {squeezed(key): form for form, keys in _FORMS.items() for key in keys.split()}


def key_for(key: str, section: str, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    """Return a hint for the foreign ``key`` and its equivalent among ``allowed``, or None.

    The equivalent is empty if there is none or if it belongs to another section. ``section`` is the
    section that contains ``key``, empty for the document itself.
    """
    name, part = squeezed(key), _part(section, allowed)
    if reason := reason_for(name, part):
        return reason, ""
    places, note = tuple(_OF_KEY.get(name, ())), _NOTES.get(name, "")
    if equivalent := _equivalent(name, {section, part}, places, allowed):
        return f"use {equivalent!r}{note}", equivalent
    if reason := reason_for(name):
        return reason, ""
    elsewhere = [place.removeprefix(".") for place in places]
    return (f"use {listed(elsewhere, 'or')}{note}", "") if elsewhere else None


def form_for(key: str) -> str | None:
    """Return the initializer key that the foreign argument ``key`` belongs to, or None."""
    return _FORM_OF.get(squeezed(key))


def _equivalent(
    foreign: str, parts: set[str], places: Sequence[str], allowed: tuple[str, ...]
) -> str | None:
    names = [_ONLY_THERE.get(part, {}).get(foreign, "") for part in sorted(parts, reverse=True)]
    names += [name for section, name in (each.split(".") for each in places) if section in parts]
    return next((name for name in names if name in allowed), None)


def _part(section: str, allowed: tuple[str, ...]) -> str:
    """Return the name of the mapping with the keys ``allowed``: a section or a part of it."""
    match section:
        case "head" if "hidden" not in allowed:
            return "hidden"
        case "rnn" if "epsilon" in allowed:
            return "layer_norm"
        case "rnn" if "units" not in allowed:
            return "repeat"
        case "initializers" if "kernel" not in allowed:
            return "form"
        case _:
            return section

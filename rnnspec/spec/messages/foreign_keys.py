"""Keys of Keras and PyTorch, with their equivalent in the language or the reason for none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rnnspec.errors import listed
from rnnspec.spec import models

if TYPE_CHECKING:
    from collections.abc import Iterable


def squeeze(name: str) -> str:
    """Return ``name`` in lower case, without hyphens, underscores and spaces."""
    lower = name.lower()
    # Names that start with two underscores are Python's own.
    return lower if lower.startswith("__") else re.sub("[-_ ]", "", lower)


def by_name(table: dict[str, str]) -> dict[str, str]:
    """Return the meaning of each foreign name, from a table of the names of each meaning."""
    return {squeeze(name): meaning for meaning, names in table.items() for name in names.split()}


_TRAINING = "a spec describes a network, not its training"
_SEQUENCES = (
    "a layer gives its sequence, but its final state to a repeat, to 'pooling: last', and as "
    "NAME.state in 'of'"
)
_ENGINE = "each backend decides how to compute a layer"
_FLOAT32 = "networks are built in float32; rnnspec parity also compares them in float64"
_FIRST_STATES = (
    "it is 'initial_state' of a recurrent layer: learned, given, {of: encoder} or {h: dense_1}"
)
_STATEFUL = (
    "source in the form 'step' takes and returns states, and 'initial_state: given' makes inputs "
    "and outputs of them"
)
_BATCH_AXIS = "the batch is always the first axis, the time step the second"
_UNCONSTRAINED = "weight constraints are not supported"
_PADDING = "padding is marked by input.mask_value or embedding.mask_zero"
_ENTERS_RNN = (
    "the input size follows from input.features or embedding.dim, or from the layer before"
)
_ENTERS = "the input size follows from the layer before"
_DRAWN = (
    "layers cannot share weights, and only an embedding can have pretrained ones; 'initializers' "
    "sets the others"
)
_FROZEN = "only an embedding can be frozen"
_ALL_STEPS = "head.pooling covers all time steps"
_NORM = "the normalizations are 'layer_norm', 'batch_norm' and 'instance_norm'"
_NORM_AXIS = "each feature is normalized, with a scale and an offset"
_NORM_START = "a normalization starts with a scale of 1 and an offset of 0"
_EPSILON = "it is a key of the normalization: layer_norm: {epsilon: 1e-5}"
_BATCH_NORM = "it is a type of layer: write {type: batch_norm} in rnn or head.hidden"
_INSTANCE_NORM = "it is a type of layer: write {type: instance_norm} in rnn"
_CONV = "it is a type of layer: write {type: conv, filters: 64, kernel_size: 3} in rnn"
_POOL = "it is a type of layer: write {type: max_pool, size: 2} in rnn"
_DROPOUT = "write {type: dropout, rate: 0.5} as the next layer"
_LAYER_NORM = "write {type: layer_norm} as the next layer"
_ACTIVATION = "write {type: activation, activation: relu} as the next layer"
ENCODER = (
    "an encoder and a decoder are layers of rnn; the decoder has 'initial_state: {of: encoder}' or "
    "'attention: {over: encoder, score: general}', or reads a layer {type: repeat, steps: 4}"
)
CRF = "rnnspec does not support a CRF; 'pooling: none' gives the scores at every time step"
ZONEOUT = "rnnspec does not support zoneout; 'recurrent_dropout' drops parts of the state"
NOISE = "the only noise is 'dropout'"
ATTENTION_HEADS = "several heads of attention are not supported"
_SELF_ATTENTION = (
    "self-attention is a layer of rnn: {type: attention, over: lstm_1, score: scaled_dot} behind "
    "lstm_1"
)
OVER_STEPS = "attention over the time steps is a pooling: head.pooling: {attention: {units: 64}}"
_ATTENTION = "use 'attention: {over: encoder, score: general}' in a recurrent layer"
_WEIGHTS = "the weights of an attention are the softmax of its scores, and no output"
_CHANNELS = "the number of channels follows from the layer before"
_PEEPHOLES = (
    "an LSTM with peepholes is a cell: write 'type: peephole_lstm' with 'cells: {peephole_lstm: "
    "{from: peephole_lstm}}'"
)
_PROJECTION = (
    "an LSTM with projected states is a cell: write 'type: lstm_projection' with 'cells: "
    "{lstm_projection: {from: lstm_projection}}'"
)
_SHARED = (
    "layers cannot share weights; an input can share the embedding of another, by its name, and a "
    "head can, by 'tied'"
)
_REPEAT = "repeat is a type of layer: write {type: repeat, steps: 4} in rnn"

# Each reason, with the keys that it applies to in every section without an equivalent key.
_ANYWHERE = {
    _TRAINING: (
        "activity_regularizer beta_regularizer bias_regularizer callbacks class_weight clip_grad "
        "clip_gradients clip_norm clip_value criterion early_stopping embeddings_regularizer "
        "epochs fit gamma_regularizer grad_clip gradient_clip gradient_clipping kernel_regularizer "
        "l1 l2 l1_l2 label_smoothing learning_rate lora_alpha lora_rank loss loss_function lr "
        "lr_schedule max_grad_norm metrics momentum num_epochs optim optimizer patience "
        "recurrent_regularizer regularization regularizer sample_weight scale_grad_by_freq "
        "scheduler shuffle sparse steps_per_epoch train training validation validation_data "
        "validation_split warmup weight_decay weight_regularizer"
    ),
    _UNCONSTRAINED: (
        "beta_constraint bias_constraint constraint embeddings_constraint gamma_constraint "
        "kernel_constraint max_norm norm_type recurrent_constraint"
    ),
    _SEQUENCES: "return_hidden return_sequence return_sequences return_state return_states",
    _ENGINE: "implementation inplace unroll use_cudnn",
    _FLOAT32: "amp autocast data_type dtype dtype_policy float mixed_precision precision "
    "quantization quantization_config",
    _FIRST_STATES: "c0 c_0 cx h0 h_0 hx init_hidden initial_hidden initial_states",
    _STATEFUL: "stateful",
    "use 'initial_state: learned' in a recurrent layer": (
        "learn_h0 learn_initial_state learned_initial_state trainable_h0 trainable_initial_state"
    ),
    _BATCH_AXIS: "batch_first data_format time_major",
    _PADDING + ", not by lengths": "enforce_sorted lengths pack_padded ragged seq_lens",
    _NORM: "group_norm rms_norm weight_norm",
    _BATCH_NORM: "batch_norm batch_normalization batchnorm batchnorm1d bn use_batch_norm",
    _NORM_AXIS: "affine axis center elementwise_affine normalized_shape scale",
    _NORM_START: (
        "beta_initializer gamma_initializer moving_mean_initializer moving_variance_initializer"
    ),
    "the moving averages are always kept, and used in inference": "track_running_stats",
    _INSTANCE_NORM: "instance_norm instance_normalization instancenorm",
    _EPSILON: "eps epsilon layer_norm_eps layer_norm_epsilon",
    _PEEPHOLES: "peephole peepholes use_peephole use_peepholes",
    _PROJECTION: "num_proj proj_clip proj_dim proj_size projection projection_size",
    _SHARED: (
        "same_as share share_weights share_with shared shared_with shares tied_to tied_with "
        "weights_from weights_of"
    ),
    _ALL_STEPS: "keepdims",
    OVER_STEPS: "attention",
    ATTENTION_HEADS: "attention_heads n_head n_heads nhead num_attention_heads num_heads",
    _SELF_ATTENTION: "self_attention",
    _ATTENTION: (
        "attend attention_layer attention_mechanism attention_type attention_wrapper attn attn_type"
    ),
    _WEIGHTS: "need_weights output_attentions return_attention_scores return_attentions",
    "the score of a step depends on it and on the query, not on earlier weights": (
        "cumulative_weights cumulate_weights coverage coverage_loss location location_based "
        "location_sensitive monotonic use_coverage"
    ),
    "rnnspec does not support input feeding: a layer asks with its state before the step": (
        "feed_input input_feed input_feeding"
    ),
    "the decoder reads the target as another input; a spec describes a network, not its training": (
        "scheduled_sampling teacher teacher_forcing teacher_forcing_ratio"
    ),
    "a network takes batches of any size": "batch batch_size",
    "clipping of cell states is not supported": "cell_clip",
    "the framework chooses the device": "device use_gpu gpu cuda",
    "both directions belong to one layer; write 'bidirectional: true'": (
        "backward_layer forward_layer"
    ),
    "a spec contains no seed; pass one to build, or seed the framework": (
        "random_seed random_state seed"
    ),
    "the output at padded time steps is undefined": "zero_output_for_mask",
    ENCODER: "decoder encoder encoder_decoder seq2seq",
    CRF: "crf use_crf",
    ZONEOUT: "zoneout zoneout_rate",
    NOISE: "gaussian_dropout gaussian_noise noise noise_std",
    "rnnspec does not support feeding the output back into the network": (
        "autoregressive feedback output_feedback"
    ),
    "a spec describes a network, not how its output is decoded": (
        "beam beam_search beam_size beam_width decoding greedy max_decode_length num_beams "
        "temperature top_k top_p"
    ),
    "rnn is a list of layers; each takes the one before it, or what it names in 'of'": (
        "connections edges functional graph sequential"
    ),
    "write a list of layers, or one layer with 'layers: 2'": "cells",
    "remove it: each layer of rnn is applied at every time step": "time_distributed",
    _CONV: "cnn conv conv1d convolution dilation dilation_rate filters kernel_size num_filters",
    _POOL: "max_pool max_pooling max_pooling1d pool_size",
    "a stride is a key of 'conv', 'max_pool' and 'average_pool' layers": "stride strides",
}  # fmt: skip

_ARRAYS = {
    _DRAWN: "_weight weight weights",
    _FROZEN: "freeze frozen requires_grad trainable",
}
_SIZES = "in_dim in_features in_size input_dim input_features input_size"
_OF_ATTENTION = {
    ATTENTION_HEADS: "attention_heads heads n_head n_heads nhead num_attention_heads num_heads",
    "dropout of the weights is not supported": "attention_dropout attn_dropout dropout_weights",
    "'score: scaled_dot' divides by the square root of the size": "scale scaled use_scale",
    "what is added has the activation tanh": "activation act nonlinearity",
    _WEIGHTS: "normalize return_weights softmax weights",
    "padding of 'over' has no weight; other masks are not supported": (
        "attn_mask causal is_causal key_padding_mask mask masked use_causal_mask"
    ),
    _ENTERS: _SIZES,
}
_IN_PART = {
    "": {
        _REPEAT: "repeat repeat_vector",
        "rnn is the list of its layers": "architecture model network",
        "it is a type of layer, as in rnn: {type: gru, units: 32}": "gru",
        "it is a type of layer, as in rnn: {type: lstm, units: 32}": "lstm",
        "it is a type of layer, as in rnn: {type: simple, units: 32}": "simple simple_rnn",
    },
    "input": {
        "'length' is the number of time steps, 'features' the size of each": (
            "batch_input_shape batch_shape input_shape shape"
        ),
        "sparse inputs are not supported": "sparse",
        "the input is always required": "optional required",
        "several inputs are in 'inputs' at the top level, by name": "inputs",
        "an input is named by its key in 'inputs'": "name names",
        "write 'per: sequence' in 'inputs' for one vector for each sequence": (
            "constant context global per_sequence static"
        ),
        "with 'features' the input is numbers, with an embedding tokens": "kind mode type",
        "a spec contains no arrays": "tensor",
    },
    "rnn": {
        _ENTERS_RNN: "in_dim in_features in_size input_dim input_features input_size ninp",
        **_ARRAYS,
        _EPSILON: "epsilon",
        f"{_REPEAT}; to stack copies of this layer, use 'layers'": "repeat repeat_vector",
        _DROPOUT: "out_dropout output_dropout",
        _SHARED: "tied",
        "rnnspec does not support dropout of weights; 'recurrent_dropout' is of the state": (
            "wdrop weight_drop weight_dropout"
        ),
        f"{ATTENTION_HEADS}; 'heads' at the top level are several outputs": "heads",
        f"{_ATTENTION}": "encoder_outputs memory over score",
    },
    "repeat": {
        _ENTERS: _SIZES,
        _ACTIVATION: "activation",
    },
    "dense": {
        _ENTERS: _SIZES,
        **_ARRAYS,
    },
    "conv": {
        _CHANNELS: "in_channels in_dim in_features input_dim input_size",
        **_ARRAYS,
        "grouped and depthwise convolutions are not supported": "depth_multiplier groups",
        "steps outside the sequence are always zeros": "padding_mode",
    },
    "max_pool": {
        "only convolutions can be dilated": "dilation dilation_rate",
        "'same' rounds the number of windows up, 'valid' down": "ceil_mode",
        "a pooling returns values, not their places": "return_indices",
        _ACTIVATION: "activation",
    },
    "average_pool": {
        "'same' rounds the number of windows up, 'valid' down": "ceil_mode",
        "steps outside the sequence never count": "count_include_pad divisor_override",
        _ACTIVATION: "activation",
    },
    "batch_norm": {
        _ENTERS: "num_features",
        _ACTIVATION: "activation",
        "a batch norm always has a scale and an offset, and is always trained": (
            "bias freeze frozen requires_grad trainable"
        ),
        "the averages are always over the whole batch": (
            "renorm renorm_clipping renorm_momentum synchronized virtual_batch_size"
        ),
    },
    "layer_norm": {
        _ACTIVATION: "activation",
        "a layer norm always has a scale and an offset, and is always trained": (
            "bias freeze frozen requires_grad trainable"
        ),
    },
    "transpose": {"the steps and the features change places": "axes dim dim0 dim1 dims perm"},
    "concat": {"outputs are joined along the features": "axis dim", _ACTIVATION: "activation"},
    "head": {
        _ENTERS: _SIZES,
        **_ARRAYS,
        _ALL_STEPS: "padding",
        "with 'pooling: none', the head is applied at every time step": (
            "layer return_sequence return_sequences time_distributed"
        ),
        "a head ends in a dense layer; write others in rnn or head.hidden": "type",
        "write {type: layer_norm} in head.hidden": "layer_norm",
        "a softmax is over the units": "axis",
    },
    "attention": _OF_ATTENTION,
    "step_attention": {
        **_OF_ATTENTION,
        "an attention has no name of its own": "name",
        "the query is the state of the layer before each step": "of q queries query",
        "'dropout' of the layer is on its input, not on the context": "dropout",
    },
    "attention_pooling": {
        ATTENTION_HEADS: "attention_heads heads n_head n_heads nhead num_attention_heads num_heads",
        "an attention has no name of its own": "name",
        "it weights what it pools; another sequence is for a layer of rnn: "
        "{type: attention, over: encoder, score: general}": "over",
        "'dropout' in head is on the pooled vector": "attention_dropout dropout",
        "the score of a step is v . f(W h + b), or v . f(h) without 'units'": (
            "kind mechanism method mode normalize scale score score_mode scoring type use_scale"
        ),
        "the time steps are keys and values; 'query' names the vector that they are scored with": (
            "key keys value values"
        ),
    },
    "hidden": {
        _ENTERS: _SIZES,
        **_ARRAYS,
        _LAYER_NORM: "layer_norm",
    },
    "initializers": {
        "use 'kernel', 'recurrent', 'bias' and 'embedding'": ("init initialization initializer"),
        "initializers have no gain": "gain",
    },
    "form": {
        "the mean is always 0": "mean mu",
        "initializers have no gain": "gain",
    },
}

# What a recurrent layer has as a key, and another layer as the layer after it.
_NEXT = by_name({_DROPOUT: "dropout", _LAYER_NORM: "layer_norm"})
_REASONS = by_name(_ANYWHERE)
_REASONS_IN = {part: by_name(table) for part, table in _IN_PART.items()}
for _part in models.KINDS.keys() - set(models.RECURRENT):
    _REASONS_IN[_part] = _NEXT | _REASONS_IN.get(_part, {})


# Each key of the language, with its foreign names. A name that occurs in several entries means the
# one in its own section, otherwise all of them in this order.
_PLACES = {
    ".initializers": "init initialization",
    "embedding.vocabulary": (
        "input_dim input_size max_features max_tokens max_words n_tokens n_vocab n_words ntoken "
        "ntokens num_embeddings num_tokens num_words size tokens vocab vocab_size vocabulary_size"
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
    "rnn.direction": "backward backwards go_backwards reverse reversed",
    "rnn.of": "from inbound inbound_nodes input inputs source sources",
    "rnn.initial_state": "init_state initial starting_state",
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
    "head.of": "from inbound input inputs source sources",
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
    "head.normalize": "l2_norm l2_normalize norm normalization unit_norm unit_normalization",
    "head.tied": (
        "tie tie_embedding tie_embeddings tie_weights tie_word_embeddings tied_embeddings "
        "tied_weights weight_tying"
    ),
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
_SCORED = {
    "over": (
        "context encoder encoder_output encoder_outputs k key keys kv memory to v value values"
    ),
    "score": (
        "alignment attention_type function kind mechanism method mode score_function score_mode "
        "score_type scoring type"
    ),
    "units": (
        "attention_dim attention_size attention_units attn_dim dim hidden hidden_dim hidden_size "
        "key_dim num_units size"
    ),
    "bias": "use_bias",
}
# Foreign names of keys of layers that are not recurrent. Here a name needs no other meaning.
_IN_LAYER = {
    "dense": {
        "units": (
            "features filters hidden hidden_dim hidden_size n_units neurons nodes num_units "
            "out_dim out_features out_size output_dim output_size size"
        ),
    },
    "conv": {
        "filters": (
            "channels features hidden_size n_filters nb_filter nb_filters num_filters out_channels "
            "out_features output_channels units"
        ),
        "kernel_size": (
            "filter_length filter_size kernel kernel_width size width window window_size"
        ),
        "stride": "strides subsample subsample_length",
        "dilation": "dilation_rate dilations kernel_dilation",
        "padding": "border_mode pad",
    },
    "max_pool": {
        "size": "kernel kernel_size pool_length pool_size width window window_shape window_size",
        "stride": "strides",
        "padding": "border_mode pad",
    },
    "batch_norm": {
        "epsilon": "eps variance_epsilon",
        "momentum": "bn_momentum decay ema_momentum",
    },
    "layer_norm": {"epsilon": "eps variance_epsilon"},
    "dropout": {
        "rate": "drop drop_prob drop_rate dropout dropout_prob dropout_rate keep_prob p prob",
        "variational": "broadcast_dims noise_shape spatial",
    },
    "activation": {"activation": "act act_fn activation_fn fn function nonlinearity"},
    "concat": {"of": "inputs layers names parts sources"},
    "attention": _SCORED | {"of": "q queries query"},
    "step_attention": _SCORED,
    "attention_pooling": {
        "units": "attention_dim attention_size dim hidden hidden_dim hidden_size size",
        "activation": "act nonlinearity",
        "bias": "use_bias",
        "query": "queries",
    },
    "pool": {"pooling": "aggregation global_pooling how mode reduce reduction"},
}
_IN_LAYER["average_pool"] = _IN_LAYER["max_pool"]
_IN_LAYER["add"] = _IN_LAYER["multiply"] = _IN_LAYER["concat"]
_OF_KEY: dict[str, dict[str, None]] = {}
for _place, _keys in _PLACES.items():
    for _key in _keys.split():
        _OF_KEY.setdefault(squeeze(_key), {})[_place] = None

# Foreign names that are valid for one section only. Most of them are keys of the language in other
# sections. 'hidden' is an item of head.hidden.
_THERE = {
    "": {
        "rnn": "encoder layers recurrent rnns",
        "head": "classifier dense fc mlp output",
        "heads": "outputs",
        "name": "title",
        "description": "comment comments notes summary",
    },
    "input": {"features": "channels dim n_channels num_channels size"},
    "embedding": {"dim": "units", "mask_zero": "mask_value"},
    "rnn": {"units": "dim output_dim"},
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
_ONLY_THERE = {part: by_name(table) for part, table in (_THERE | _IN_LAYER).items()}

# Differences in meaning between a key and its foreign name.
_NOTES = {
    "freeze": ", with the opposite value",
    "frozen": ", with the opposite value",
    "layer": ", or 'layers' for the number of layers",
    "bnmomentum": ", the share that is kept: 1 - momentum of PyTorch",
    "keepprob": ", which is 1 - keep_prob",
}
# Values to write for foreign names that have others, with a note on what it means.
_VALUES = {
    "mask_zero": (
        ("true", ", which makes token 0 padding"),
        "mask_token mask_value pad_id pad_idx pad_token padding_idx padding_token",
    ),
    "dropout": (("0.2", " for a keep_prob of 0.8"), "keep_prob"),
    "rate": (("0.2", " for a keep_prob of 0.8"), "keep_prob"),
    "bidirectional": (("true", " for two directions"), "num_directions"),
    "direction": (("backward", ""), "backward backwards go_backwards reverse reversed"),
    "variational": (("true", " for one mask for all time steps"), "noise_shape"),
    "forget_bias": (("1.0", ", or 0.0 for false"), "unit_forget_bias"),
    "normalize": (
        ("l2", ""),
        "l2_norm l2_normalize norm normalization unit_norm unit_normalization",
    ),
}
_VALUE_OF = {
    (key, squeeze(name)): value for key, (value, names) in _VALUES.items() for name in names.split()
}

# The keys of mappings with a single key, with foreign names.
_FORMS = {
    "uniform": "a b bound high limit low max maxval min minval range",
    "normal": "deviation gaussian scale sd sigma std std_dev stddev",
    "constant": "c const fill val value",
    "leaky_relu": "alpha leakiness leaky lrelu negative_slope slope",
    "clipped_relu": "ceiling clip clipped hardtanh limit max_value relu_clip threshold",
    "attention": "attn attention_pooling self_attention weighted",
    "last_steps": "count k last n steps",
}


_BESIDE = {
    "over": (
        "the steps of 'over' are the keys and the values; others are not supported",
        by_name({"over": _SCORED["over"]}),
    )
}
"""The reasons for keys beside the one that they are otherwise taken for."""


def key_beside(key: str, part: str, present: Iterable[str]) -> str | None:
    """Return the reason for a foreign key beside keys of the language, or None."""
    if part not in ("attention", "step_attention"):
        return None
    reasons = (_BESIDE[own] for own in present if own in _BESIDE)
    return next((reason for reason, names in reasons if squeeze(key) in names), None)


def key_for(key: str, section: str, part: str, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    """Return a hint for the foreign ``key`` and its equivalent among ``allowed``, or None.

    The equivalent is empty if there is none or if it belongs to another section. ``section`` is the
    section that contains ``key``, empty for the document itself, and ``part`` the mapping in it: a
    type of layer, ``hidden``, ``layer_norm``, ``step_attention``, ``attention_pooling`` or
    ``form``, or the section again.
    """
    name = squeeze(key)
    if reason := _REASONS_IN.get(part, {}).get(name):
        return reason, ""
    places, note = tuple(_OF_KEY.get(name, ())), _NOTES.get(name, "")
    # First the names that are valid in this section only.
    parts = (part, section)
    names = [_ONLY_THERE.get(here, {}).get(name, "") for here in parts]
    for place in places:
        home, _, own = place.partition(".")
        names += [own] if home in parts else []
    if equivalent := next((own for own in names if own in allowed), None):
        if instead := _VALUE_OF.get((equivalent, name)):
            return f"use '{equivalent}: {instead[0]}'{instead[1]}", equivalent
        return f"use {equivalent!r}{note}", equivalent
    if reason := _REASONS.get(name):
        return reason, ""
    elsewhere = [place.removeprefix(".") for place in places]
    if len(elsewhere) == 1 and (instead := _VALUE_OF.get((elsewhere[0].rpartition(".")[2], name))):
        return f"use {elsewhere[0]}: {instead[0]}{instead[1]}", ""
    return (f"use {listed(elsewhere, 'or')}{note}", "") if elsewhere else None


def is_answered(key: str, section: str, part: str, allowed: tuple[str, ...]) -> bool:
    """True if the foreign ``key`` has an equivalent in ``part``, or a reason of its own."""
    known = key_for(key, section, part, allowed)
    return bool(known and known[1]) or squeeze(key) in _REASONS_IN.get(part, ())


def form_for(key: str, forms: Iterable[str]) -> str | None:
    """Return the one of ``forms`` that the foreign argument ``key`` belongs to, or None."""
    name = squeeze(key)
    return next((form for form in forms if name in map(squeeze, _FORMS[form].split())), None)

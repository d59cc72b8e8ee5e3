"""Foreign keys that nothing here says, and why."""

from __future__ import annotations

from rnnspec.spec.messages.foreign.spelling import squeezed

_TRAINING = "a spec describes a network, not its training"
_SEQUENCES = (
    "a layer gives its sequence to a layer, its final state to a repeat and to a head with pooling "
    "last"
)
_ENGINE = "how a layer is computed is decided by each backend"
_FLOAT32 = "a network is built in float32; parity compares it in float64 too"
_ZEROS = "each batch begins from a state of zeros"
_BATCH_AXIS = "the batch is always the first axis, the step the second"
_UNCONSTRAINED = "weights are not constrained"
_PADDING = "padding is told by input.mask_value or embedding.mask_zero"
_ENTERS_RNN = (
    "what enters a layer is known: input.features or embedding.dim, then what the layer before it "
    "gives"
)
_ENTERS = "what enters a layer is known from the one before it"
_DRAWN = "only an embedding takes weights; the others are drawn, as initializers says"
_FROZEN = "only an embedding can be frozen"
_HIDDEN_BIAS = "a hidden layer always has a bias"
_ALL_STEPS = "head.pooling is over all steps"
_NORM = "layer_norm, a key of recurrent layers, is the only normalization"
_NORM_AXIS = "layer_norm is over the numbers of each step, with a scale and an offset"
_NORM_START = "layer_norm begins with a scale of 1 and an offset of 0"
_EPSILON = "the epsilon of layer_norm is 1e-3, as in Keras"
_PEEPHOLES = "an lstm has no peepholes; neither framework has them"
_PROJECTION = "states are not projected; Keras has no such layer"
_SHARED = "layers share no weights"
_REPEAT = "repeat is a type of layer: {type: repeat, steps: 4} in rnn"

# By what is said, the keys that it is said of, in every section that has no key for them.
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
    _ZEROS: "c0 c_0 cx h0 h_0 hx initial_hidden initial_state initial_states stateful",
    _BATCH_AXIS: "batch_first data_format time_major",
    _PADDING + ", never by lengths": "enforce_sorted lengths pack_padded ragged seq_lens",
    _NORM: (
        "batch_norm batch_normalization group_norm instance_norm rms_norm use_batch_norm "
        "weight_norm"
    ),
    _NORM_AXIS: "axis center elementwise_affine normalized_shape scale",
    _NORM_START: "beta_initializer gamma_initializer",
    _EPSILON: "eps epsilon layer_norm_eps layer_norm_epsilon",
    _PEEPHOLES: "peephole peepholes use_peephole use_peepholes",
    _PROJECTION: "num_proj proj_clip proj_dim proj_size projection projection_size",
    _SHARED: "share share_weights shared tie tie_weights tied tied_weights",
    _ALL_STEPS: "keepdims pool_size stride strides",
    "no layer has attention": (
        "attention attention_heads n_head n_heads nhead num_attention_heads num_heads "
        "self_attention"
    ),
    "a network takes batches of any size": "batch batch_size",
    "cells are not clipped": "cell_clip",
    "a network is built on the device that the framework chooses": "device use_gpu gpu cuda",
    "a backward direction comes with 'bidirectional', never alone": (
        "backward direction go_backwards reverse reversed"
    ),
    "both directions are of one layer: bidirectional: true": "backward_layer forward_layer",
    "a spec holds no seed; seed the framework": "random_seed random_state seed",
    "what stands at a padded step is not specified": "zero_output_for_mask",
    "no layer is a convolution": "conv convolution dilation filters kernel_size num_filters",
}  # fmt: skip

_IN_PART = {
    "": {
        _REPEAT: "repeat repeat_vector",
        "it is a type, as in rnn: {type: gru, units: 32}": "gru",
        "it is a type, as in rnn: {type: lstm, units: 32}": "lstm",
        "it is a type, as in rnn: {type: simple, units: 32}": "simple simple_rnn",
    },
    "input": {
        "length is the number of steps, features the size of each": (
            "batch_input_shape batch_shape input_shape shape"
        ),
        "inputs are dense": "sparse",
        "the input is always needed": "optional required",
        "a spec holds no arrays": "tensor",
    },
    "rnn": {
        _ENTERS_RNN: "in_dim in_features in_size input_dim input_features input_size ninp",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        f"{_REPEAT}; 'layers' is how many of this one": "repeat repeat_vector",
    },
    "repeat": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
    },
    "head": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        _ALL_STEPS: "padding",
        "with pooling none the head is applied at every step": "layer time_distributed",
    },
    "hidden": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        _HIDDEN_BIAS: "bias biases use_bias",
    },
    "initializers": {
        "kernel, recurrent, bias and embedding each have their own": (
            "init initialization initializer"
        ),
        "no initializer has a gain": "gain",
    },
    "form": {
        "numbers are drawn around 0": "mean mu",
        "no initializer has a gain": "gain",
    },
}


def _by_key(table: dict[str, str]) -> dict[str, str]:
    return {squeezed(key): reason for reason, keys in table.items() for key in keys.split()}


_REASONS = _by_key(_ANYWHERE)
_REASONS_IN = {part: _by_key(table) for part, table in _IN_PART.items()}


def reason_for(word: str, part: str | None = None) -> str | None:
    """Return why nothing says ``word``, squeezed, here: in ``part`` alone, or anywhere."""
    table = _REASONS if part is None else _REASONS_IN.get(part, {})
    return table.get(word)

"""Foreign keys that have no equivalent in the language, with the reason."""

from __future__ import annotations

from rnnspec.spec.messages.foreign.spelling import squeezed

_TRAINING = "a spec describes a network, not its training"
_SEQUENCES = (
    "a layer passes its sequence to the next layer, and its final state to a repeat or to a head "
    "with 'pooling: last'"
)
_ENGINE = "each backend decides how to compute a layer"
_FLOAT32 = "networks are built in float32; rnnspec parity also compares them in float64"
_ZEROS = "each batch starts from a state of zeros"
_BATCH_AXIS = "the batch is always the first axis, the time step the second"
_UNCONSTRAINED = "weight constraints are not supported"
_PADDING = "padding is marked by input.mask_value or embedding.mask_zero"
_ENTERS_RNN = (
    "the input size follows from input.features or embedding.dim, or from the layer before"
)
_ENTERS = "the input size follows from the layer before"
_DRAWN = "only an embedding can have pretrained weights; 'initializers' sets the others"
_FROZEN = "only an embedding can be frozen"
_HIDDEN_BIAS = "a hidden layer always has a bias"
_ALL_STEPS = "head.pooling covers all time steps"
_NORM = "the only normalization is layer_norm, a key of recurrent layers"
_NORM_AXIS = "layer_norm normalizes the features of each time step, with a scale and an offset"
_NORM_START = "layer_norm starts with a scale of 1 and an offset of 0"
# 1e-5 in PyTorch.
_EPSILON = "the epsilon of layer_norm is 1e-3, as in Keras"
_PEEPHOLES = "peepholes are not supported; neither Keras nor PyTorch has them"
_PROJECTION = "projected states are not supported; Keras has no such layer"
_SHARED = "layers cannot share weights"
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
    _ZEROS: "c0 c_0 cx h0 h_0 hx initial_hidden initial_state initial_states stateful",
    _BATCH_AXIS: "batch_first data_format time_major",
    _PADDING + ", not by lengths": "enforce_sorted lengths pack_padded ragged seq_lens",
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
    "attention is not supported": (
        "attention attention_heads n_head n_heads nhead num_attention_heads num_heads "
        "self_attention"
    ),
    "a network takes batches of any size": "batch batch_size",
    "clipping of cell states is not supported": "cell_clip",
    "the framework chooses the device": "device use_gpu gpu cuda",
    "a backward direction alone is not supported; use 'bidirectional'": (
        "backward direction go_backwards reverse reversed"
    ),
    "both directions belong to one layer; write 'bidirectional: true'": (
        "backward_layer forward_layer"
    ),
    "a spec contains no seed; use --seed, or seed the framework": "random_seed random_state seed",
    "the output at padded time steps is undefined": "zero_output_for_mask",
    "convolutions are not supported": "conv convolution dilation filters kernel_size num_filters",
}  # fmt: skip

_IN_PART = {
    "": {
        _REPEAT: "repeat repeat_vector",
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
        "a spec contains no arrays": "tensor",
    },
    "rnn": {
        _ENTERS_RNN: "in_dim in_features in_size input_dim input_features input_size ninp",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        f"{_REPEAT}; to stack copies of this layer, use 'layers'": "repeat repeat_vector",
    },
    "repeat": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
    },
    "head": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        _ALL_STEPS: "padding",
        "with 'pooling: none', the head is applied at every time step": "layer time_distributed",
    },
    "hidden": {
        _ENTERS: "in_dim in_features in_size input_dim input_features input_size",
        _DRAWN: "_weight weight weights",
        _FROZEN: "freeze frozen requires_grad trainable",
        _HIDDEN_BIAS: "bias biases use_bias",
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


def _by_key(table: dict[str, str]) -> dict[str, str]:
    return {squeezed(key): reason for reason, keys in table.items() for key in keys.split()}


_REASONS = _by_key(_ANYWHERE)
_REASONS_IN = {part: _by_key(table) for part, table in _IN_PART.items()}


def reason_for(name: str, part: str | None = None) -> str | None:
    """Return why the squeezed ``name`` has no equivalent in ``part``, or in any section."""
    table = _REASONS if part is None else _REASONS_IN.get(part, {})
    return table.get(name)

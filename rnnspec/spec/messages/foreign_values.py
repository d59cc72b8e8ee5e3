"""Values of Keras and PyTorch, with their equivalent in the language or the reason for none."""

from __future__ import annotations

import re

from rnnspec.errors import listed
from rnnspec.spec.messages.foreign_keys import (
    ATTENTION_HEADS,
    CRF,
    ENCODER,
    NOISE,
    ZONEOUT,
    by_name,
    squeeze,
)
from rnnspec.spec.zoo import zoo_names
from rnnspec.wording import nearest


def without_module(name: str) -> str:
    """Return ``name`` without its module path and its call: ``LSTM`` for ``nn.LSTM()``."""
    # Not a regular expression: it takes quadratic time on 500,000 letters.
    name = name.strip()
    name = name.partition("(")[0] if name.endswith(")") else name
    path, dot, last = name.rpartition(".")
    parts = (*path.split("."), last)
    return last if dot and all(map(str.isidentifier, parts)) else name


_CELLS = {"lstm": "lstm", "gru": "gru", "rnn": "simple", "simplernn": "simple", "simple": "simple"}
_TYPES = _CELLS | by_name(
    {
        "simple": "elman elman_rnn rnn_tanh vanilla",
        "repeat": "repeat repeat_vector",
        "conv": "conv conv1d convolution convolution1d",
        "dense": "dense fc linear fully_connected time_distributed_dense",
        "max_pool": "max_pool max_pool1d max_pooling max_pooling1d",
        "average_pool": (
            "average_pool average_pooling average_pooling1d avg_pool avg_pool1d mean_pool"
        ),
        "batch_norm": "batch_norm batch_norm1d batch_normalization bn",
        "layer_norm": "layer_norm layer_normalization ln",
        "instance_norm": "instance_norm instance_norm1d instance_normalization",
        "concat": "concat concatenate cat",
        "add": "add sum",
        "multiply": "multiply mul product",
        "transpose": "permute transpose",
        "normalize": "l2_norm l2_normalization l2_normalize normalize unit_normalization",
        "pool": "global_pool global_pooling pool pooling",
        "activation": "activation",
        "dropout": "dropout",
    }
)
# Such as CuDNNLSTM in Keras 2, LSTMCell in PyTorch, and BasicLSTMCell in TensorFlow 1.
_PLAIN = re.compile(r"(?:basic|cudnn|plain|simple|vanilla)?(?P<cell>lstm|gru|rnn)(?:cell|layer)?")
_BIDIRECTIONAL = re.compile(
    r"(?:bidirectional|bidir|bi|b)(?P<cell>.+)|(?P<first>.+?)(?:bidirectional)"
)
_STACKED = re.compile(r"(?:deep|multilayer|stacked)(?P<cell>.+)")
_VARIANT = re.compile(r".+(?:lstm|gru|rnn)(?:cell|layer)?")

_NO_CELL = "this cell is not supported"
_ACTIVATION = "write 'type: activation' with 'activation: {}', or the key of the layer before"
_ATTENTION = (
    "write 'pooling: {{attention: {{units: 64}}}}' in head, for attention over the time steps, or "
    "{{type: attention, over: encoder, score: {}}} in rnn for another sequence"
)
_TRANSFORMER = "transformers are not supported"
_NORM = "the normalizations are 'layer_norm', 'batch_norm' and 'instance_norm'"
_MLP = "write a 'dense' layer for each of them"
_JOINS = "the joins of layers are 'concat', 'add' and 'multiply'"
_DOT = (
    "the products of the steps of two sequences are an attention: {type: attention, over: encoder, "
    "score: dot}; the joins of layers are 'concat', 'add' and 'multiply'"
)
_SAMPLING = "sampling is not supported: a network is a function of its input, but for dropout"
_FEWER = "write 'stride: 2' in a 'conv', a 'max_pool' or an 'average_pool'"
_RESHAPE = (
    "reshaping is not supported; 'transpose' swaps steps and features, 'flatten' is a pooling"
)
_PAD = "write 'padding: [1, 1]', 'same' or 'causal' in the layer that needs it"
_CONV = "the only convolution is 'conv', over the time steps"
_POOL = "the only pools are 'max_pool' and 'average_pool', over the time steps"
_POOLED = "write {{type: pool, pooling: {0}}} in rnn, or 'pooling: {0}' in head"
_INPUT = "the input is a separate section: input, or inputs for several by name"

_ACTIVATIONS = ("relu", "elu", "selu", "silu", "sigmoid", "softmax", "softplus", "softsign", "tanh")
_REASONS = {
    "bidirectional": "write the type of the inner layer, with 'bidirectional: true'",
    "embedding": "the embedding is a separate section: embedding",
    "identity": "an identity layer has no effect; remove it",
    "bilinear": "a bilinear product is not supported; 'multiply' is the product by element",
    "input": _INPUT,
    "inputlayer": _INPUT,
    "lambda": "a spec contains no code",
    "masking": "padding is marked by input.mask_value or embedding.mask_zero",
    "rnnrelu": "write 'type: simple' with 'activation: relu'",
    "stackedrnncells": "write a list of layers, or one layer with 'layers: 2'",
    "timedistributed": (
        "write the inner layer, such as {type: dense, units: 64}: each layer of rnn is applied at "
        "every time step"
    ),
    "dot": _DOT,
    **dict.fromkeys(("sample", "samples", "sampling", "reparameterize"), _SAMPLING),
    **dict.fromkeys(("downsample", "downsampling", "subsample", "subsampling"), _FEWER),
    "leakyrelu": _ACTIVATION.format("{leaky_relu: 0.01}") + " (0.3 in Keras by default)",
    "relu6": _ACTIVATION.format("{clipped_relu: 6}"),
    "clippedrelu": _ACTIVATION.format("{clipped_relu: 20}"),
    "flatten": _POOLED.format("flatten"),
    "spatialdropout": "write 'type: dropout' with 'variational: true'",
    "dropout1d": "write 'type: dropout' with 'variational: true'",
    "zeropadding1d": _PAD,
    "constantpad1d": _PAD,
    "batchnormalizationv1": "use 'batch_norm'",
    **dict.fromkeys(("crf", "linearchaincrf"), CRF),
    **dict.fromkeys(("decoder", "encoder", "encoderdecoder", "seq2seq"), ENCODER),
    **dict.fromkeys(("zoneout", "zoneoutlstm", "zoneoutgru"), ZONEOUT),
    **dict.fromkeys(("ctc", "ctclayer"), "a spec describes a network, not its training"),
    **{name: _ACTIVATION.format(name) for name in _ACTIVATIONS},
    "residual": "'residual: true' adds the input of a recurrent layer; 'add' adds other layers",
    **dict.fromkeys(("average", "maximum", "minimum", "subtract"), _JOINS),
    **dict.fromkeys(("functional", "model", "sequential"), "rnn is the list of the layers"),
    **dict.fromkeys(("reshape", "unflatten"), _RESHAPE),
    **dict.fromkeys(("feedforward", "ffn", "mlp"), _MLP),
    **dict.fromkeys(("cfc", "esn", "grud", "hopfield", "janet", "jordan", "lmu", "lru"), _NO_CELL),
    **dict.fromkeys(("lstmp", "ltc", "mamba", "mgu", "mru", "nas", "nru", "ran"), _NO_CELL),
    **dict.fromkeys(("reservoir", "rhn", "rwkv", "s4", "sru", "ssm", "tcn", "xlstm"), _NO_CELL),
}  # fmt: skip

# Parts of class names that have many variants; the first one that matches counts.
_PARTS = (
    ("convlstm", _NO_CELL),
    ("conv", _CONV),
    ("cnn", _CONV),
    ("multihead", ATTENTION_HEADS),
    ("transformer", _TRANSFORMER),
    ("additiveattention", _ATTENTION.format("additive, units: 64")),
    ("bahdanau", _ATTENTION.format("additive, units: 64")),
    ("scaleddot", _ATTENTION.format("scaled_dot")),
    ("dotproduct", _ATTENTION.format("dot")),
    ("attention", _ATTENTION.format("general")),
    ("luong", _ATTENTION.format("general")),
    ("globalmax", _POOLED.format("max")),
    ("adaptivemax", _POOLED.format("max")),
    ("globalav", _POOLED.format("mean")),
    ("adaptiveav", _POOLED.format("mean")),
    ("pool", _POOL),
    ("spatialdropout", "write 'type: dropout' with 'variational: true'"),
    ("alphadropout", NOISE),
    ("gaussian", NOISE),
    ("dropout", "use 'dropout'"),
    ("norm", _NORM),
    ("embedding", "the embedding is a separate section: embedding"),
    ("dense", "use 'dense'"),
    ("linear", "use 'dense'"),
    ("pad", _PAD),
    ("cropping", _RESHAPE),
    ("loss", "a spec describes a network, not its training"),
    *(
        (part, "this activation is not supported")
        for part in ("elu", "glu", "mish", "shrink", "sigmoid", "silu", "softm", "swish", "tanh")
    ),
)


_NOTES = {"batchnorm1d": ", whose momentum is the share that is kept: 1 - momentum of PyTorch"}


def cell_for(name: str) -> str | None:
    """Return the cell of rnnspec that is meant by a foreign name, or None."""
    bare = squeeze(without_module(name).removesuffix("Cell"))
    own = {squeeze(cell): cell for cell in zoo_names()}
    return own.get(bare) or _EQUIVALENTS["cell"].get(bare)


def layer_for(name: str) -> str | None:
    """Return a hint for the foreign type ``name``: an equivalent, a reason for none, or None."""
    bare = _bare(name)
    if (cell := cell_for(name)) and _single_type(bare) is None:
        return f"write 'type: {cell}' with 'cells: {{{cell}: {{from: {cell}}}}}'"
    if equivalent := _single_type(bare):
        return f"use {equivalent!r}{_NOTES.get(bare, '')}"
    if reason := _REASONS.get(bare):
        return reason
    if cell := _type_in_both_directions(bare):
        return f"write 'type: {cell}' with 'bidirectional: true'"
    if cell := _type_in_stack(bare):
        both = "'bidirectional: true' and " if "bi" in bare else ""
        return f"write 'type: {cell}' with {both}'layers: 2', or the number of layers you need"
    for part, reason in _PARTS:
        if part in bare:
            return reason
    return _NO_CELL if _VARIANT.fullmatch(bare) else None


def type_for(name: str) -> str | None:
    """Return the type of a single layer of the foreign type ``name``, or None."""
    bare = _bare(name)
    return _single_type(bare) or (
        None if bare in _REASONS else _type_in_both_directions(bare) or _type_in_stack(bare)
    )


def _bare(name: str) -> str:
    return squeeze(without_module(name))


def _single_type(bare: str) -> str | None:
    match = _PLAIN.fullmatch(bare)
    return _CELLS[match["cell"]] if match else _TYPES.get(bare.removesuffix("cell"))


def _type_in_both_directions(bare: str) -> str | None:
    match = _BIDIRECTIONAL.fullmatch(bare)
    if match is None:
        return None
    cell = match["cell"] or match["first"]
    exact = _single_type(cell)
    # After a lone 'b', a similar word may be an unrelated one.
    near = nearest(cell, _CELLS) if match["cell"] and bare.startswith("bi") else None
    return exact or (_CELLS[near] if near else None)


def _type_in_stack(bare: str) -> str | None:
    match = _STACKED.fullmatch(bare)
    return (
        (_single_type(match["cell"]) or _type_in_both_directions(match["cell"])) if match else None
    )


# Each value of the language, with its foreign names.
_WORDS = {
    "merge": {
        "sum": "add plus",
        "ave": "average avg mean",
        "concat": "cat concatenate concatenation",
        "mul": "multiply prod product times",
    },
    "pooling": {
        "none": "all no off return_sequences sequence",
        "mean": (
            "adaptive_avg_pool1d ave average average_pooling avg avg_pool global_average "
            "global_average_pooling global_average_pooling1d global_avg_pool global_avg_pool1d "
            "mean_pool mean_pooling"
        ),
        "last": "final last_hidden last_state state",
        "first_step": "first first_output",
        "{attention: {units: 64}}": "attention attention_pooling weighted",
        "flatten": "flattened flatten_steps",
        "{last_steps: 4}": "last_n last_n_steps last_steps",
        "sum": "add total",
        "min": "global_min global_min_pool min_pool min_pooling minimum",
        "max": (
            "adaptive_max_pool1d global_max global_max_pool global_max_pool1d global_max_pooling "
            "global_max_pooling1d max_pool max_pooling maximum"
        ),
    },
    "cell": {
        "cfc": "closed_form_continuous",
        "ctrnn": "continuous_time_rnn",
        "ind_rnn": "independent_rnn independently_recurrent",
        "janet": "just_another_network",
        "li_gru": "light_gated_recurrent_unit light_gru",
        "light_ru": "light_recurrent_unit",
        "lmu": "legendre_memory_unit",
        "lstm_cifg": "cifg cifg_lstm coupled_lstm",
        "lstm_projection": "lstmp projected_lstm",
        "ltc_fused": "liquid_time_constant ltc",
        "mgu": "minimal_gated_unit minimal_gru",
        "mogrifier_lstm": "mogrifier",
        "nas": "nas_rnn",
        "peephole_lstm": "gers_lstm peephole",
        "qrnn": "quasi_rnn",
        "ran": "recurrent_additive_network",
        "rg_lru": "griffin hawk",
        "rhn": "highway_rnn recurrent_highway_network",
        "sru": "simple_recurrent_unit",
        "ugrnn": "update_gate_rnn",
    },
    "direction": {
        "backward": "backwards reverse reversed right_to_left",
        "forward": "forwards left_to_right",
    },
    "initial_state": {
        "learned": "learn learnable parameter trainable trained",
        "given": "external input passed stateful",
        "zeros": "zero none null",
    },
    "per": {
        "sequence": "batch example global sample static",
        "step": "steps time time_step timestep",
    },
    "score": {
        "additive": "additive_attention bahdanau bahdanau_attention concat feedforward mlp",
        "dot": "dot_product dot_product_attention inner inner_product luong_dot product",
        "general": "bilinear luong luong_attention luong_general multiplicative",
        "scaled_dot": "scaled scaled_dot_product scaled_dot_product_attention",
    },
    "initializer": {
        "{constant: 0.5}": "const constant",
        "{normal: 0.05}": "gaussian normal randn random_normal",
        "{uniform: 0.05}": "random random_uniform uniform",
        "glorot_uniform": "glorot xavier xavier_uniform",
        "he_uniform": "he kaiming kaiming_uniform",
        "lecun_uniform": "lecun",
        "orthogonal": "ortho orthogonal_initializer orthonormal",
        "ones": "one",
        "zeros": "zero",
    },
    "activation": {
        "exponential": "exp",
        "legacy_hard_sigmoid": "keras2_hard_sigmoid old_hard_sigmoid",
        "{leaky_relu: 0.01}": "leaky leaky_relu lrelu",
        "{clipped_relu: 6}": "relu6",
        "{clipped_relu: 20}": "clipped_relu",
        "linear": "identity no_activation none null",
        "relu": "rectified_linear rectifier",
        "sigmoid": "logistic sigm",
        "silu": "swish",
        "tanh": "hyperbolic_tangent",
    },
}
_EQUIVALENTS = {what: by_name(table) for what, table in _WORDS.items()}

# Names from frameworks or their users that have no equivalent in the language.
_UNKNOWN = {
    "activation": (
        "abs celu cos crelu erf geglu gelu glu hard_shrink hard_silu hard_swish hard_tanh "
        "heaviside log_sigmoid maxout mish multihead_attention prelu rrelu sign "
        "sin sine snake soft_shrink softmax2d softmin sparse_plus sparse_sigmoid sparsemax square "
        "squareplus srelu step swiglu tanh_shrink threshold thresholded_relu"
    ),
    "initializer": (
        "dirac eye glorot_normal he_normal identity identity_initializer kaiming_normal "
        "lecun_normal sparse stft stft_initializer trunc_normal truncated_normal variance_scaling "
        "xavier_normal"
    ),
    "score": (
        "content cosine coverage hybrid local local_m local_p location location_based "
        "location_sensitive monotonic multi_head multi_head_attention normed_bahdanau "
        "scaled_luong softmax"
    ),
    "merge": "attention both difference dot first last list max maximum min none stack subtract",
    "pooling": (
        "average_pooling1d avg_pool1d cls concat kmax logsumexp max_pool1d max_pooling1d "
        "median rms topk"
    ),
}
_NOT_SUPPORTED = {
    what: {squeeze(name) for name in names.split()} for what, names in _UNKNOWN.items()
}

# Values of the language that are allowed only for other keys.
_ELSEWHERE = {
    "type": {
        "available only in rnn": (
            "add average_pool concat conv gru instance_norm lstm max_pool multiply pool repeat "
            "simple transpose average_pooling1d avg_pool1d concatenate conv1d max_pool1d "
            "max_pooling1d permute rnn simple_rnn"
        ),
    },
    "activation": {
        "not available for recurrent layers": (
            "clipped_relu exp exponential leaky_relu log_softmax relu6 softmax"
        ),
    },
    "pooling": {"not available in a list": "flatten last_steps none"},
    "initializer": {
        "available only for kernel and recurrent": (
            "glorot_uniform he_uniform lecun_uniform orthogonal"
        )
    },
}
_HOMES = {what: by_name(table) for what, table in _ELSEWHERE.items()}


def home_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return where ``value`` is or is not available, if it is not ``allowed`` here, or None."""
    bare = squeeze(without_module(value))
    known = bare in map(squeeze, allowed)
    return None if known else _HOMES.get(_kind(what), {}).get(bare)


def value_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return a hint for the foreign value ``value`` of the key ``what``, or None.

    ``allowed`` contains the values of the language for this key.
    """
    if what == "type":
        if type_for(value) not in (None, *allowed):
            return None
        reason = layer_for(value)
        if "lstm" not in allowed and cell_for(value):
            return None
        # Without a hint what to write instead, the supported types help most.
        if reason is not None and reason.endswith("not supported"):
            cells = tuple(dict.fromkeys(_CELLS.values())) if reason == _NO_CELL else ()
            return f"{reason}; expected {listed(cells or allowed, 'or')}"
        return reason
    kind = _kind(what)
    bare = squeeze(without_module(value))
    own = {squeeze(name): name for name in allowed}
    # A difference only in case or hyphens is left to the search for similar names.
    if bare in own and value.lower().strip().replace("-", "_") not in allowed:
        return f"use {own[bare]!r}"
    equivalent = _EQUIVALENTS.get(kind, {}).get(bare, "")
    if reason := _other_key(kind, bare, equivalent, allowed):
        return reason
    # A list of poolings has no steps.
    if equivalent.startswith("{last_steps") and "none" not in allowed:
        return None
    # A mapping such as {normal: 0.05} is shown without quotes.
    if equivalent.startswith("{") and (
        kind == "initializer" or any("mapping" in other for other in allowed)
    ):
        return f"use {equivalent}"
    if equivalent in allowed:
        return f"use {equivalent!r}"
    # Several poolings in one string, such as 'mean, max' or 'avg_max'.
    if kind == "pooling" and "none" in allowed:
        parts = [part for part in re.split("[^a-z]+", value.lower()) if part]
        names = [_EQUIVALENTS[kind].get(part, part) for part in parts]
        if len(set(names)) > 1 and set(names) <= {"mean", "max", "min", "sum", "last"}:
            return f"write [{', '.join(dict.fromkeys(names))}]"
    if bare in _NOT_SUPPORTED.get(kind, ()):
        return f"not supported; expected {listed(allowed, 'or')}"
    return None


def _other_key(kind: str, bare: str, equivalent: str, allowed: tuple[str, ...]) -> str:
    """Return what to write in place of the whole key, or nothing."""
    if kind == "direction" and bare in _BOTH:
        return "write 'bidirectional: true' for both directions"
    # A pool as a layer, unlike one in a list or a head.
    is_layer = "none" not in allowed and "a list of poolings" in allowed
    if kind == "pooling" and is_layer and "none" in (bare, equivalent):
        return "remove the layer to keep the steps"
    return ""


_BOTH = frozenset({"2", "bi", "bidir", "bidirectional", "both", "two"})


def _kind(what: str) -> str:
    return "activation" if what == "recurrent_activation" else what

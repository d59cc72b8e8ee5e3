"""Foreign names of values: activations, initializers, poolings and merges."""

from __future__ import annotations

from rnnspec.errors import listed
from rnnspec.spec.messages.foreign.layers import layer_for
from rnnspec.spec.messages.foreign.spelling import squeezed, without_module

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
        "max": (
            "adaptive_max_pool1d global_max global_max_pool global_max_pool1d global_max_pooling "
            "global_max_pooling1d max_pool max_pooling maximum"
        ),
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
        "linear": "identity no_activation none null",
        "relu": "rectified_linear rectifier",
        "sigmoid": "logistic sigm",
        "silu": "swish",
        "tanh": "hyperbolic_tangent",
    },
}
_EQUIVALENTS = {
    what: {squeezed(name): value for value, names in table.items() for name in names.split()}
    for what, table in _WORDS.items()
}

# Names from frameworks or their users that have no equivalent in the language.
_UNKNOWN = {
    "activation": (
        "abs celu cos crelu erf geglu gelu glu hard_shrink hard_silu hard_swish hard_tanh "
        "heaviside leaky_relu log_sigmoid maxout mish multihead_attention prelu relu6 rrelu sign "
        "sin sine snake soft_shrink softmax2d softmin sparse_plus sparse_sigmoid sparsemax square "
        "squareplus srelu step swiglu tanh_shrink threshold thresholded_relu"
    ),
    "initializer": (
        "dirac eye glorot_normal he_normal identity identity_initializer kaiming_normal "
        "lecun_normal sparse stft stft_initializer trunc_normal truncated_normal variance_scaling "
        "xavier_normal"
    ),
    "merge": "attention both difference dot first last list max maximum min none stack subtract",
    "pooling": (
        "add attention average_pooling1d avg_pool1d cls concat first kmax logsumexp max_pool1d "
        "max_pooling1d median min minimum rms sum topk weighted"
    ),
}
_NOT_SUPPORTED = {
    what: {squeezed(name) for name in names.split()} for what, names in _UNKNOWN.items()
}

# Values of the language that are allowed only for other keys.
_ELSEWHERE = {
    "activation": {
        "available only in head": "exp exponential log_softmax softmax",
    },
    "initializer": {
        "available only for kernel and recurrent": (
            "glorot_uniform he_uniform lecun_uniform orthogonal"
        )
    },
}
_HOMES = {
    what: {squeezed(name): home for home, names in table.items() for name in names.split()}
    for what, table in _ELSEWHERE.items()
}


def home_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return where ``value`` is available, if it is not ``allowed`` here, or None."""
    bare = squeezed(without_module(value))
    known = bare in map(squeezed, allowed)
    return None if known else _HOMES.get(_kind(what), {}).get(bare)


def value_for(what: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """Return a hint for the foreign value ``value`` of the key ``what``, or None.

    ``allowed`` contains the values of the language for this key.
    """
    if what == "type":
        reason = layer_for(value)
        # Where nothing takes its place, the types that there are help most.
        alone = reason is not None and reason.endswith("not supported")
        return f"{reason}; expected {listed(allowed, 'or')}" if alone else reason
    kind = _kind(what)
    bare = squeezed(without_module(value))
    own = {squeezed(each): each for each in allowed}
    # A difference in case or hyphens alone is left to the search for similar names.
    if bare in own and value.lower().strip().replace("-", "_") not in allowed:
        return f"use {own[bare]!r}"
    equivalent = _EQUIVALENTS.get(kind, {}).get(bare, "")
    # A mapping such as {normal: 0.05} is shown without quotes.
    if equivalent.startswith("{"):
        return f"use {equivalent}"
    if equivalent in allowed:
        return f"use {equivalent!r}"
    if bare in _NOT_SUPPORTED.get(kind, ()):
        return f"not supported; expected {listed(allowed, 'or')}"
    return None


def _kind(what: str) -> str:
    return "activation" if what == "recurrent_activation" else what

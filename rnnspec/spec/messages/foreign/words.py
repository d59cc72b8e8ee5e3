"""Foreign values: activations, initializers, poolings and merges."""

from __future__ import annotations

from rnnspec.errors import listed
from rnnspec.spec.messages.foreign.layers import layer_for
from rnnspec.spec.messages.foreign.spelling import squeezed, without_module

# By the word here, the foreign words for it.
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
        "last": "final last_hidden last_state last_step state",
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
        "linear": "identity no_activation none null",
        "relu": "rectified_linear rectifier",
        "sigmoid": "logistic sigm",
        "tanh": "hyperbolic_tangent",
    },
}
_HERE = {
    what: {squeezed(each): here for here, words in table.items() for each in words.split()}
    for what, table in _WORDS.items()
}

# Words that the frameworks or their users have, and the language has nothing for.
_UNKNOWN = {
    "activation": (
        "abs celu cos crelu erf exp exponential geglu gelu glu hard_shrink hard_silu hard_swish "
        "hard_tanh heaviside leaky_relu log_sigmoid log_softmax maxout mish multihead_attention "
        "prelu relu6 rrelu selu sign silu sin sine snake soft_shrink softmax2d softmin sparse_plus "
        "sparse_sigmoid sparsemax square squareplus srelu step swiglu swish tanh_shrink threshold "
        "thresholded_relu"
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
_NOTHING = {what: {squeezed(word) for word in words.split()} for what, words in _UNKNOWN.items()}

# Words of the language that another key has.
_ELSEWHERE = {
    "activation": {
        "only rnn has it": "elu hard_sigmoid softsign",
        "only head has it": "softmax softplus",
    },
    "initializer": {
        "only kernel and recurrent have it": "glorot_uniform he_uniform lecun_uniform orthogonal"
    },
}
_HOMES = {
    what: {squeezed(word): home for home, words in table.items() for word in words.split()}
    for what, table in _ELSEWHERE.items()
}


def home_for(what: str, word: str, words: tuple[str, ...]) -> str | None:
    """Say where ``word`` stands, where it is of the language and none of ``words``, or None."""
    bare = squeezed(without_module(word))
    known = bare in map(squeezed, words)
    return None if known else _HOMES.get(_kind(what), {}).get(bare)


def word_for(what: str, word: str, words: tuple[str, ...]) -> str | None:
    """Return what ``word``, a value of the key ``what``, is called here, or None.

    ``words`` are those that can stand there.
    """
    if what == "type":
        return layer_for(word)
    kind = _kind(what)
    bare = squeezed(without_module(word))
    own = {squeezed(each): each for each in words}
    # The language's own words in other spellings are left to the guess.
    if bare in own and word.lower().strip().replace("-", "_") not in words:
        return f"here it is {own[bare]!r}"
    here = _HERE.get(kind, {}).get(bare, "")
    if here.startswith("{"):
        return f"here it is {here}"
    if here in words:
        return f"here it is {here!r}"
    if bare in _NOTHING.get(kind, ()):
        return f"there is no such {kind} here; expected {listed(words, 'or')}"
    return None


def _kind(what: str) -> str:
    return "activation" if what == "recurrent_activation" else what

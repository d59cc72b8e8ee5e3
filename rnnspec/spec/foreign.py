"""Keras's and PyTorch's own words: what each is called here, or why there is nothing to call."""

from __future__ import annotations

from rnnspec.spec.wording import listed

# Where a key has another name here: every place that it may mean, by section and key.
_KEYS = {
    "batch_input_shape": "input.length input.features",
    "biases": "rnn.bias head.bias",
    "bias_initializer": "initializers.bias",
    "cell": "rnn.type",
    "cell_type": "rnn.type",
    "class": "rnn.type",
    "class_name": "rnn.type",
    "dropout_rate": "rnn.dropout head.dropout",
    "embed_dim": "embedding.dim",
    "embed_size": "embedding.dim",
    "embedding_dim": "embedding.dim",
    "embedding_size": "embedding.dim",
    "embedding_weights": "embedding.weights",
    "embeddings_initializer": "initializers.embedding",
    "forget_bias": "initializers.forget_bias",
    "hidden": "head.hidden rnn.units",
    "hidden_dim": "rnn.units head.hidden",
    "hidden_layers": "rnn.layers head.hidden",
    "hidden_size": "rnn.units",
    "hidden_units": "rnn.units head.hidden",
    "in_features": "input.features",
    "initializer": "initializers.kernel",
    "input_dim": "embedding.vocabulary input.features",
    "input_length": "input.length",
    "input_shape": "input.length input.features",
    "input_size": "input.features embedding.vocabulary",
    "kernel_initializer": "initializers.kernel",
    "layer_type": "rnn.type",
    "layernorm": "rnn.layer_norm",
    "mask_token": "embedding.mask_zero",
    "masking": "input.mask_value embedding.mask_zero",
    "max_features": "embedding.vocabulary",
    "max_length": "input.length",
    "maxlen": "input.length",
    "merge_mode": "rnn.merge",
    "model": "rnn.type",
    "n_classes": "head.units",
    "n_features": "input.features",
    "n_hidden": "rnn.units",
    "n_layers": "rnn.layers",
    "n_units": "rnn.units",
    "nonlinearity": "rnn.activation",
    "num_classes": "head.units",
    "num_embeddings": "embedding.vocabulary",
    "num_features": "input.features",
    "num_hidden": "rnn.units",
    "num_labels": "head.units",
    "num_layers": "rnn.layers",
    "num_tokens": "embedding.vocabulary",
    "num_units": "rnn.units",
    "num_words": "embedding.vocabulary",
    "out_features": "head.units",
    "output_activation": "head.activation",
    "output_dim": "embedding.dim head.units",
    "output_size": "head.units",
    "p": "rnn.dropout head.dropout",
    "padding_idx": "embedding.mask_zero",
    "padding_value": "input.mask_value",
    "rate": "rnn.dropout head.dropout",
    "recurrent_initializer": "initializers.recurrent",
    "rnn_type": "rnn.type",
    "seq_len": "input.length",
    "seq_length": "input.length",
    "sequence_length": "input.length",
    "size": "rnn.units embedding.vocabulary",
    "state_size": "rnn.units",
    "timesteps": "input.length rnn.steps",
    "times": "rnn.steps",
    "unit_forget_bias": "initializers.forget_bias",
    "use_bias": "rnn.bias head.bias",
    "vocab": "embedding.vocabulary",
    "vocab_size": "embedding.vocabulary",
    "vocabulary_size": "embedding.vocabulary",
}

_TRAINING = "a spec describes a network, not its training"
_SEQUENCES = (
    "a layer gives its sequence to a layer, its final state to a repeat and to a head with pooling "
    "last"
)
_ENGINE = "how a layer is computed is decided by each backend"

_REASONS = {
    "batch_first": "the batch is always the first axis, the step the second",
    "batch_size": "a network takes batches of any size",
    "cell_clip": "cells are not clipped",
    "device": "a network is built on the device that the framework chooses",
    "dtype": "a network is built in float32; parity compares it in float64 too",
    "epochs": _TRAINING,
    "go_backwards": "a backward direction comes with 'bidirectional', never alone",
    "implementation": _ENGINE,
    "learning_rate": _TRAINING,
    "loss": _TRAINING,
    "lr": _TRAINING,
    "max_norm": "weights are not constrained",
    "metrics": _TRAINING,
    "norm_type": "weights are not constrained",
    "optimizer": _TRAINING,
    "proj_size": "states are not projected; Keras has no such layer",
    "peepholes": "an lstm has no peepholes; neither framework has them",
    "return_sequences": _SEQUENCES,
    "return_state": _SEQUENCES,
    "scale_grad_by_freq": _TRAINING,
    "sparse": _TRAINING,
    "stateful": "each batch begins from a state of zeros",
    "time_major": "the batch is always the first axis, the step the second",
    "unroll": _ENGINE,
    "use_cudnn": _ENGINE,
    "weight_decay": _TRAINING,
    "zero_output_for_mask": "what stands at a padded step is not specified",
    **dict.fromkeys(
        (
            "activity_regularizer", "bias_constraint", "bias_regularizer", "embeddings_constraint",
            "embeddings_regularizer", "kernel_constraint", "kernel_regularizer",
            "recurrent_constraint", "recurrent_regularizer",
        ),
        _TRAINING,
    ),
}  # fmt: skip

_BIDIRECTIONAL = "write the type inside it, with bidirectional: true beside it"
_OUTPUT = "dense layers stand in head: head.units, head.hidden"
_TYPES = {
    "lstm": "lstm",
    "lstmcell": "lstm",
    "cudnnlstm": "lstm",
    "gru": "gru",
    "grucell": "gru",
    "cudnngru": "gru",
    "rnn": "simple",
    "rnncell": "simple",
    "simplernn": "simple",
    "simplernncell": "simple",
    "simple_rnn": "simple",
    "elman": "simple",
    "vanilla": "simple",
    "vanilla_rnn": "simple",
    "repeatvector": "repeat",
    "repeat_vector": "repeat",
}
_TYPE_REASONS = {
    "attention": "there is no attention",
    "bidirectional": _BIDIRECTIONAL,
    "bigru": "write type: gru with bidirectional: true",
    "bilstm": "write type: lstm with bidirectional: true",
    "birnn": "write type: simple with bidirectional: true",
    "conv1d": "there are no convolutions",
    "convlstm2d": "there are no convolutions",
    "dense": _OUTPUT,
    "dropout": "dropout is a key of each layer",
    "embedding": "the embedding is a section of its own",
    "indrnn": "there is no such cell; simple, lstm and gru are the cells",
    "jordan": "there is no such cell; simple, lstm and gru are the cells",
    "layernorm": "layer_norm is a key of each layer",
    "layernormalization": "layer_norm is a key of each layer",
    "linear": _OUTPUT,
    "masking": "padding is told by input.mask_value or embedding.mask_zero",
    "mgu": "there is no such cell; simple, lstm and gru are the cells",
    "peephole": "an lstm has no peepholes; neither framework has them",
    "timedistributed": "with head.pooling none the head is applied at every step",
    "transformer": "there is no attention",
    "transformerencoder": "there is no attention",
}
_PREFIXES = ("torch.nn.", "nn.", "tf.keras.layers.", "keras.layers.", "layers.")

_WORDS = {
    "merge": {
        "add": "sum", "average": "ave", "avg": "ave", "mean": "ave", "cat": "concat",
        "concatenate": "concat", "multiply": "mul", "product": "mul", "prod": "mul",
    },
    "pooling": {
        "all": "none", "avg": "mean", "average": "mean", "average_pooling": "mean",
        "avg_pool": "mean", "final": "last", "global_average": "mean", "global_max": "max",
        "globalaveragepooling1d": "mean", "globalmaxpooling1d": "max", "last_state": "last",
        "max_pool": "max", "maximum": "max", "return_sequences": "none", "sequence": "none",
        "state": "last",
    },
    "initializer": {
        "constant": "{constant: 0.5}", "glorot": "glorot_uniform", "he": "he_uniform",
        "kaiming_uniform": "he_uniform", "kaiming_uniform_": "he_uniform", "lecun": "lecun_uniform",
        "normal": "{normal: 0.05}", "one": "ones", "ones_": "ones", "orthogonal_": "orthogonal",
        "randomnormal": "{normal: 0.05}", "random_normal": "{normal: 0.05}",
        "randomuniform": "{uniform: 0.05}", "random_uniform": "{uniform: 0.05}",
        "uniform": "{uniform: 0.05}", "xavier": "glorot_uniform",
        "xavier_uniform": "glorot_uniform", "xavier_uniform_": "glorot_uniform", "zero": "zeros",
        "zeros_": "zeros", "glorotuniform": "glorot_uniform", "heuniform": "he_uniform",
        "lecununiform": "lecun_uniform",
    },
    "activation": {
        "hardsigmoid": "hard_sigmoid", "identity": "linear", "logistic": "sigmoid",
        "none": "linear", "soft_plus": "softplus",
    },
}  # fmt: skip
_UNKNOWN = {
    "activation": {
        "celu", "exponential", "gelu", "glu", "hard_silu", "hard_swish", "hard_tanh", "hardswish",
        "hardtanh", "leaky_relu", "leakyrelu", "log_sigmoid", "log_softmax", "logsigmoid",
        "logsoftmax", "mish", "prelu", "relu6", "rrelu", "selu", "silu", "softmin", "sparsemax",
        "squareplus", "swish", "tanhshrink", "threshold",
    },
    "initializer": {
        "glorot_normal", "glorotnormal", "he_normal", "henormal", "identity", "kaiming_normal",
        "kaiming_normal_", "lecun_normal", "lecunnormal", "trunc_normal_", "truncated_normal",
        "truncatednormal", "variance_scaling", "variancescaling", "xavier_normal",
        "xavier_normal_",
    },
}  # fmt: skip
"""Words that the frameworks have, and the language has nothing for."""


def key_for(key: str, section: str, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    """Return what ``key`` is called here, and that key where it is one of ``allowed``, or None.

    ``section`` is the section that ``key`` was found in, empty for the document itself.
    """
    word = key.lower()
    if reason := _REASONS.get(word):
        return f"there is no such key: {reason}", ""
    places = _KEYS.get(word, "").split()
    for place in places:
        home, name = place.split(".")
        if home == section and name in allowed:
            return f"here it is {name!r}", name
    return (f"here it is {listed(places, 'or')}", "") if places else None


def word_for(what: str, word: str, words: tuple[str, ...]) -> str | None:
    """Return what ``word``, a value of the key ``what``, is called here, or None."""
    lower = word.lower()
    if what == "type":
        here = type_for(word)
        return f"here it is {here!r}" if here else _TYPE_REASONS.get(_bare(word))
    kind = "activation" if what == "recurrent_activation" else what
    if (here := _WORDS.get(kind, {}).get(lower)) and (here in words or here.startswith("{")):
        return f"here it is {here if here.startswith('{') else repr(here)}"
    if lower in _UNKNOWN.get(kind, ()):
        return f"there is no such {kind} here; expected {listed(words, 'or')}"
    return None


def type_for(word: str) -> str | None:
    """Return what the type of layer ``word`` is called here, or None."""
    return _TYPES.get(_bare(word))


def _bare(word: str) -> str:
    """Return the name of a class without its module, in lower case."""
    lower = word.lower()
    return next((lower.removeprefix(each) for each in _PREFIXES if lower.startswith(each)), lower)

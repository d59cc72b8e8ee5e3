"""Descriptions of all keys and values, which editors show; ``json_schema`` adds them.

They are separate from the models, because every command imports the models.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class About(NamedTuple):
    """The description of a key, with example values."""

    description: str
    examples: tuple[Any, ...]


MAPPINGS = {
    "Spec": "A recurrent network, which rnnspec builds with every backend.",
    "Layer": "A recurrent layer, or a repeat of the final state between two of them.",
    "SimpleRNN": "The simple (Elman) recurrent layer: one state, no gates.",
    "LSTM": "Long short-term memory: a state and a cell, with input, forget and output gates.",
    "GRU": "The gated recurrent unit: one state, with update and reset gates.",
    "RepeatVector": "Repeats the final state of the layer before it for the layers that follow.",
    "Hidden": "A dense layer before the output.",
    "Drawn": "The distribution of the initial weights, given by a single key.",
}
"""Description of each mapping, by the name of its model or definition."""

KEYS = {
    "Spec": {
        "version": About("The version of the language. This rnnspec reads version 1.", (1,)),
        "name": About(
            "The name of the network in snake_case. It names the class, the module and the files.",
            ("stacked_lstm", "tagger"),
        ),
        "description": About(
            "Free text, copied to a comment in the generated source.",
            ("Three LSTM layers over embedded tokens, a probability out.",),
        ),
        "input": About(
            "The input: tokens with an embedding, otherwise `features` numbers per time step.",
            ({"length": 500}, {"length": 24, "features": 7}),
        ),
        "embedding": About(
            "Turns each token into a vector. Without it, the input is numbers.",
            ({"vocabulary": 10000, "dim": 32},),
        ),
        "rnn": About(
            "The recurrent layers: one layer, or a list of layers in order.",
            ({"type": "lstm", "units": 32}, [{"type": "gru", "units": 64, "bidirectional": True}]),
        ),
        "head": About(
            "Computes the result from the output of the last recurrent layer. "
            "Without it, the network returns that output at every time step.",
            ({"units": 1, "activation": "sigmoid"}, {"pooling": "none", "units": 9}),
        ),
        "initializers": About(
            "Initial values of the weights of the whole network. "
            "The defaults are those of Keras, on every backend.",
            ({"recurrent": "orthogonal", "forget_bias": 1.0},),
        ),
        "data": About(
            "The training data. Used by `rnnspec lint`; the network does not depend on it.",
            ({"examples": 25000},),
        ),
        "expect": About(
            "Assertions about the network, checked by validation.",
            ({"parameters": 344993}, {"max_parameters": 400000}),
        ),
    },
    "Input": {
        "length": About("The number of time steps. Without it, sequences of any length.", (500,)),
        "features": About(
            "The number of features per time step. Write either this or an embedding.", (7,)
        ),
        "mask_value": About(
            "A time step is padding if all its features equal this value. Without it, there is no "
            "padding. The value must be exact in float32.",
            (0.0, -1.0),
        ),
    },
    "Embedding": {
        "name": About("The name of the embedding; by default embedding_1.", ("tokens",)),
        "vocabulary": About(
            "The number of tokens. A token is an integer from 0 to `vocabulary` - 1.", (10000,)
        ),
        "dim": About("The size of the vector of a token.", (32, 100)),
        "mask_zero": About("If true, token 0 is padding and all layers skip it.", (True,)),
        "trainable": About("If false, the vectors are not trained.", (False,)),
        "weights": About(
            "A file of pretrained vectors, relative to the spec: word2vec or GloVe text, .npy or "
            ".safetensors. Needs `words`.",
            ("vectors.txt",),
        ),
        "words": About(
            "A file with one word per line, relative to the spec; line 0 is the word of token 0. "
            "Needs `weights`.",
            ("words.txt",),
        ),
    },
    "_Recurrent": {
        "name": About(
            "The name of the layer; by default its type and a number, such as lstm_1.",
            ("encoder",),
        ),
        "units": About("The size of the state, per direction.", (32, 128)),
        "layers": About("The number of copies of this layer, stacked.", (2,)),
        "bidirectional": About(
            "Reads the sequence in both directions, each with its own weights.", (True,)
        ),
        "merge": About(
            "How the outputs of the two directions are combined. Needs `bidirectional: true`.",
            ("sum",),
        ),
        "dropout": About(
            "The fraction of the layer's input that is set to zero in training.", (0.2,)
        ),
        "variational": About(
            "If true, `dropout` uses one mask per sequence and direction; if false, a new mask at "
            "each time step. Needs a `dropout` above 0.",
            (False,),
        ),
        "recurrent_dropout": About(
            "The fraction of the state that is set to zero between time steps in training. Not "
            "supported by PyTorch's fused layers, so the layer runs in a slower loop over the time "
            "steps.",
            (0.1,),
        ),
        "activation": About(
            "The activation of the state. PyTorch's fused layers support only tanh (and relu for "
            "type simple); others run in a slower loop over the time steps.",
            ("relu",),
        ),
        "bias": About("Gives the layer a bias.", (False,)),
        "layer_norm": About(
            "Normalizes the features of the output at each time step, with epsilon 1e-3 or another "
            "one.",
            (True, {"epsilon": 1e-5}),
        ),
        "residual": About(
            "Adds the input of the layer to its output. Both must be sequences of the same size.",
            (True,),
        ),
    },
    "_Gated": {
        "recurrent_activation": About(
            "The activation of the gates. PyTorch's fused layers support only sigmoid; others run "
            "in a slower loop over the time steps.",
            ("hard_sigmoid",),
        ),
    },
    "LayerNorm": {
        "epsilon": About(
            "Added to the variance. Keras has 1e-3 by default, PyTorch 1e-5.", (1e-5,)
        ),
    },
    "SimpleRNN": {"type": About(MAPPINGS["SimpleRNN"], ("simple",))},
    "LSTM": {"type": About(MAPPINGS["LSTM"], ("lstm",))},
    "GRU": {
        "type": About(MAPPINGS["GRU"], ("gru",)),
        "reset_after": About(
            "If true, the reset gate is applied after the recurrent product; if false, before it, "
            "which PyTorch runs in a slower loop over the time steps.",
            (False,),
        ),
    },
    "RepeatVector": {
        "type": About(MAPPINGS["RepeatVector"], ("repeat",)),
        "name": About("The name of the layer; by default repeat_vector_1 and so on.", ("bridge",)),
        "steps": About("The number of times the state is repeated.", (4,)),
    },
    "Hidden": {
        "name": About("The name of the layer; by default dense_1 and so on.", ("features",)),
        "units": About("The number of units.", (64,)),
        "activation": About("The activation.", ("relu",)),
        "dropout": About("The fraction of the output that is set to zero in training.", (0.5,)),
    },
    "Head": {
        "name": About("The name of the output layer. Needs `units`.", ("label",)),
        "pooling": About("How the time steps are reduced to one vector.", ("mean", "none")),
        "dropout": About(
            "The fraction of the pooled vector that is set to zero in training.", (0.5,)
        ),
        "hidden": About(
            "Dense layers before the output layer, in order.",
            ([{"units": 64, "activation": "relu", "dropout": 0.5}],),
        ),
        "units": About(
            "The size of the output. Without it there is no output layer, and the result is the "
            "pooled vector or the last hidden layer's output.",
            (1, 10),
        ),
        "activation": About("The activation of the output layer. Needs `units`.", ("sigmoid",)),
        "bias": About("Gives the output layer a bias. Needs `units`.", (False,)),
        "normalize": About(
            "Divides the resulting vector by its norm. Not with `pooling: none`.", ("l2",)
        ),
    },
    "Initializers": {
        "kernel": About("Initializer of the input kernels.", ("he_uniform",)),
        "recurrent": About("Initializer of the recurrent kernels.", ({"normal": 0.01},)),
        "bias": About("Initializer of the biases.", ("ones",)),
        "forget_bias": About("Initial bias of the forget gate of an LSTM.", (1.0, 0.0)),
        "embedding": About("Initializer of the embedding.", ({"uniform": 0.05}, {"normal": 0.01})),
    },
    "Uniform": {
        "uniform": About("Uniform distribution between minus this value and this value.", (0.05,))
    },
    "Normal": {"normal": About("Normal distribution with this standard deviation.", (0.01,))},
    "Constant": {"constant": About("This value everywhere.", (0.5,))},
    "Data": {"examples": About("The number of training sequences.", (25000,))},
    "Expect": {
        "parameters": About("The exact number of parameters.", (344993,)),
        "max_parameters": About("The maximum number of parameters.", (400000,)),
    },
}
"""Description of each key, by the name of the model that defines it."""

VALUES = {
    "simple": "The simple (Elman) recurrent layer.",
    "lstm": "Long short-term memory.",
    "gru": "The gated recurrent unit.",
    "repeat": "The final state of the layer before, repeated: between an encoder and a decoder.",
    "concat": "Concatenation, twice as wide.",
    "sum": "Their sum.",
    "mul": "Their product.",
    "ave": "Their mean.",
    "last": "The final state of each direction.",
    "last_step": "The output at the last time step, where the backward direction begins.",
    "mean": "The mean over all time steps that are not padding.",
    "max": "The maximum over all time steps that are not padding.",
    "none": "Nothing: with `pooling`, an output at every time step.",
    "l2": "x / max(norm, 1e-12), with the Euclidean norm.",
    "linear": "x",
    "sigmoid": "1 / (1 + exp(-x))",
    "softmax": "exp(x), divided by the sum over all units: probabilities of classes.",
    "tanh": "The hyperbolic tangent.",
    "relu": "max(x, 0)",
    "log_softmax": "The logarithm of the softmax: log-probabilities of classes.",
    "exponential": "exp(x)",
    "softplus": "log(1 + exp(x))",
    "hard_sigmoid": "x / 6 + 1 / 2, between 0 and 1.",
    "legacy_hard_sigmoid": "x / 5 + 1 / 2, between 0 and 1: the hard_sigmoid of Keras 1 and 2.",
    "softsign": "x / (1 + abs(x))",
    "elu": "x if it is positive, otherwise exp(x) - 1.",
    "selu": "1.0507 x if it is positive, otherwise 1.7581 (exp(x) - 1).",
    "silu": "x sigmoid(x), also known as swish.",
    "glorot_uniform": "Uniform, with variance 2 / (inputs + outputs).",
    "he_uniform": "Uniform, with variance 2 / inputs.",
    "lecun_uniform": "Uniform, with variance 1 / inputs.",
    "orthogonal": "A random matrix with orthonormal rows or columns.",
    "zeros": "0 everywhere.",
    "ones": "1 everywhere.",
}
"""Description of each value that a key with fixed values accepts."""

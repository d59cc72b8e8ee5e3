"""What an editor says of each word of the language; ``spec.schema`` puts it into the schema.

Apart from the models, which are built at every start of the command line.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class About(NamedTuple):
    """What a key is for, and values that it might have."""

    description: str
    examples: tuple[Any, ...]


MAPPINGS = {
    "Spec": "One recurrent network, from which rnnspec makes a Keras model and a PyTorch module.",
    "Layer": "A recurrent layer, or a repeat of the final state between two of them.",
    "SimpleRNN": "The simple (Elman) recurrent layer: one state, no gates.",
    "LSTM": "Long short-term memory: a state and a cell, with input, forget and output gates.",
    "GRU": "The gated recurrent unit: one state, with update and reset gates.",
    "RepeatVector": "The final state so far, given a number of times to the layers that follow.",
    "Hidden": "A dense layer before the output.",
    "Drawn": "What fresh weights are drawn from, by the one key that it has.",
}
"""By the name of the model or definition: what such a mapping is."""

KEYS = {
    "Spec": {
        "version": About("The version of the language. This rnnspec reads version 1.", (1,)),
        "name": About(
            "The name of the network in snake_case. It names the class, the module and the files.",
            ("stacked_lstm", "tagger"),
        ),
        "description": About(
            "Free text, which becomes a comment of the generated source.",
            ("Three LSTM layers over embedded tokens, a probability out.",),
        ),
        "input": About(
            "What goes in. With an embedding it is tokens; without one, `features` numbers a step.",
            ({"length": 500}, {"length": 24, "features": 7}),
        ),
        "embedding": About(
            "Takes tokens, and turns each into a vector. Without it the input is numbers.",
            ({"vocabulary": 10000, "dim": 32},),
        ),
        "rnn": About(
            "The recurrent layers: one, or a list of them in the order in which they are run.",
            ({"type": "lstm", "units": 32}, [{"type": "gru", "units": 64, "bidirectional": True}]),
        ),
        "head": About(
            "From the last recurrent layer to the result. "
            "Without it the network returns the last layer's output at every step.",
            ({"units": 1, "activation": "sigmoid"}, {"pooling": "none", "units": 9}),
        ),
        "initializers": About(
            "Where fresh weights come from, for the whole network. "
            "Without it, Keras's defaults on every backend.",
            ({"recurrent": "orthogonal", "forget_bias": 1.0},),
        ),
        "data": About(
            "What the network is to learn from. `rnnspec lint` heeds it, the network does not.",
            ({"examples": 25000},),
        ),
        "expect": About(
            "Promises about the network. A spec that breaks one is an error.",
            ({"parameters": 344993}, {"max_parameters": 400000}),
        ),
    },
    "Input": {
        "length": About("The number of steps. Without it, any number.", (500,)),
        "features": About(
            "How many numbers there are at each step. Exactly one of this and an embedding.", (7,)
        ),
        "mask_value": About(
            "A step whose numbers all equal this is padding. Without it, no step is. "
            "32 bits must hold it exactly.",
            (0.0, -1.0),
        ),
    },
    "Embedding": {
        "name": About("The name of the embedding. Without it, embedding_1.", ("tokens",)),
        "vocabulary": About(
            "How many tokens there are: each is a whole number from 0 to one less.", (10000,)
        ),
        "dim": About("How many numbers stand for a token.", (32, 100)),
        "mask_zero": About("Whether token 0 is padding, which all layers skip.", (True,)),
        "trainable": About("Whether training changes the vectors.", (False,)),
        "weights": About(
            "A file of pretrained vectors, relative to the spec: text of word2vec or GloVe, .npy "
            "or .safetensors. Needs `words`.",
            ("vectors.txt",),
        ),
        "words": About(
            "A file with the word of each token, one a line, relative to the spec. Line 0 is token "
            "0's. Needs `weights`.",
            ("words.txt",),
        ),
    },
    "_Recurrent": {
        "name": About(
            "The name of the layer. Without it, its kind and a number, such as lstm_1.",
            ("encoder",),
        ),
        "units": About("The size of the state. In both directions, of each one's.", (32, 128)),
        "layers": About("This layer, that many times, one after the other.", (2,)),
        "bidirectional": About(
            "Whether to read the steps in both directions, with weights of their own.", (True,)
        ),
        "merge": About(
            "How the outputs of the two directions become one. Needs `bidirectional: true`.",
            ("sum",),
        ),
        "dropout": About(
            "The share of the numbers entering the layer that training sets to zero.", (0.2,)
        ),
        "variational": About(
            "Whether dropout draws one mask for a whole sequence and direction, or (false) a fresh "
            "one at each step. Needs a `dropout` above 0.",
            (False,),
        ),
        "recurrent_dropout": About(
            "The share of the state that training sets to zero on its way to the next step. "
            "PyTorch's fused layers lack it: a slower loop over the steps takes their place.",
            (0.1,),
        ),
        "activation": About(
            "The function that gives the state its values. PyTorch's fused layers have tanh, and "
            "relu for type simple: for others a slower loop over the steps takes their place.",
            ("relu",),
        ),
        "bias": About("Whether the layer has a bias.", (False,)),
        "layer_norm": About(
            "Whether the numbers that leave the layer are normalized at each step (epsilon 1e-3).",
            (True,),
        ),
        "residual": About(
            "Whether what entered the layer is added to what leaves it. Both must be of one size, "
            "and sequences.",
            (True,),
        ),
    },
    "_Gated": {
        "recurrent_activation": About(
            "The function of the gates. PyTorch's fused layers have sigmoid: for others a slower "
            "loop over the steps takes their place.",
            ("hard_sigmoid",),
        ),
    },
    "SimpleRNN": {"type": About(MAPPINGS["SimpleRNN"], ("simple",))},
    "LSTM": {"type": About(MAPPINGS["LSTM"], ("lstm",))},
    "GRU": {
        "type": About(MAPPINGS["GRU"], ("gru",)),
        "reset_after": About(
            "Whether the reset gate comes after the recurrent product, or (false) before it. "
            "PyTorch's fused GRU has it after: else a slower loop over the steps takes its place.",
            (False,),
        ),
    },
    "RepeatVector": {
        "type": About(MAPPINGS["RepeatVector"], ("repeat",)),
        "name": About("The name of the layer. Without it, such as repeat_vector_1.", ("bridge",)),
        "steps": About("How many times the state is given.", (4,)),
    },
    "Hidden": {
        "name": About("The name of the layer. Without it, such as dense_1.", ("features",)),
        "units": About("How many numbers leave the layer.", (64,)),
        "activation": About("The function that they go through.", ("relu",)),
        "dropout": About("The share of them that training sets to zero.", (0.5,)),
    },
    "Head": {
        "name": About("The name of the output layer. Needs `units`.", ("label",)),
        "pooling": About("How the steps become one vector.", ("mean", "none")),
        "dropout": About("The share of what was pooled that training sets to zero.", (0.5,)),
        "hidden": About(
            "Dense layers before the output layer, in order.",
            ([{"units": 64, "activation": "relu", "dropout": 0.5}],),
        ),
        "units": About(
            "How many numbers the network returns. Without it there is no output layer: what was "
            "pooled, or the last hidden layer, is the result.",
            (1, 10),
        ),
        "activation": About("The function of the output layer. Needs `units`.", ("sigmoid",)),
        "bias": About("Whether the output layer has a bias. Needs `units`.", (False,)),
    },
    "Initializers": {
        "kernel": About("Of the matrices that inputs are multiplied by.", ("he_uniform",)),
        "recurrent": About("Of the matrices that states are multiplied by.", ({"normal": 0.01},)),
        "bias": About("Of the biases.", ("ones",)),
        "forget_bias": About("What the bias of an LSTM's forget gate is at first.", (1.0, 0.0)),
        "embedding": About("Of the vectors of tokens.", ({"uniform": 0.05}, {"normal": 0.01})),
    },
    "Uniform": {"uniform": About("Drawn between minus this and this, evenly.", (0.05,))},
    "Normal": {"normal": About("Drawn from the normal distribution with this deviation.", (0.01,))},
    "Constant": {"constant": About("This number everywhere.", (0.5,))},
    "Data": {"examples": About("How many sequences there are to learn from.", (25000,))},
    "Expect": {
        "parameters": About("How many parameters the network has, exactly.", (344993,)),
        "max_parameters": About("How many parameters the network has at most.", (400000,)),
    },
}
"""By the name of the model that has the key, and the key."""

WORDS = {
    "simple": "The simple (Elman) recurrent layer.",
    "lstm": "Long short-term memory.",
    "gru": "The gated recurrent unit.",
    "repeat": "The final state so far, repeated: between an encoder and a decoder.",
    "concat": "One behind the other, twice as wide.",
    "sum": "Their sum.",
    "mul": "Their product.",
    "ave": "Their mean.",
    "last": "The final state, each direction's own.",
    "mean": "The mean over the steps that are no padding.",
    "max": "The largest over the steps that are no padding.",
    "none": "No pooling: an output at every step.",
    "linear": "x",
    "sigmoid": "1 / (1 + exp(-x))",
    "softmax": "exp(x), divided by the sum over all units: probabilities of classes.",
    "tanh": "The hyperbolic tangent.",
    "relu": "max(x, 0)",
    "softplus": "log(1 + exp(x))",
    "hard_sigmoid": "x / 6 + 1 / 2, between 0 and 1.",
    "softsign": "x / (1 + abs(x))",
    "elu": "x where it is positive, else exp(x) - 1.",
    "glorot_uniform": "Uniform, with variance 2 / (inputs + outputs).",
    "he_uniform": "Uniform, with variance 2 / inputs.",
    "lecun_uniform": "Uniform, with variance 1 / inputs.",
    "orthogonal": "A random matrix with orthonormal rows or columns.",
    "zeros": "0 everywhere.",
    "ones": "1 everywhere.",
}
"""What each word means that a key may have as its value."""

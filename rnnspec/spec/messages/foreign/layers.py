"""Foreign types of layers, with the equivalent type or the reason for none."""

from __future__ import annotations

import re

from rnnspec.spec.messages.foreign.spelling import squeezed, without_module
from rnnspec.wording import nearest

_CELLS = {"lstm": "lstm", "gru": "gru", "rnn": "simple", "simplernn": "simple", "simple": "simple"}
_TYPES = {
    **_CELLS,
    "elman": "simple",
    "elmanrnn": "simple",
    "repeat": "repeat",
    "repeatvector": "repeat",
    "rnntanh": "simple",
    "vanilla": "simple",
}
# Such as CuDNNLSTM in Keras 2, LSTMCell in PyTorch, and BasicLSTMCell in TensorFlow 1.
_PLAIN = re.compile(r"(?:basic|cudnn|plain|simple|vanilla)?(?P<cell>lstm|gru|rnn)(?:cell|layer)?")
_BIDIRECTIONAL = re.compile(
    r"(?:bidirectional|bidir|bi|b)(?P<cell>.+)|(?P<first>.+?)(?:bidirectional)"
)
_STACKED = re.compile(r"(?:deep|multilayer|stacked)(?P<cell>.+)")
_VARIANT = re.compile(r".+(?:lstm|gru|rnn)(?:cell|layer)?")

_NO_CELL = "this cell is not supported"
_ACTIVATION = "activation is a key of each layer"
_ATTENTION = "attention is not supported"
_NOISE = "the only noise is dropout, a key of each layer"
_NORM = "the only normalization is layer_norm, a key of recurrent layers"
_OUTPUT = "dense layers belong in head: use head.units and head.hidden"
_CHAIN = (
    "layers form a single chain; 'merge' combines two directions, and 'residual' adds the input of "
    "a layer"
)
_RESHAPE = "reshaping is not supported; head.pooling reduces all time steps to one vector"

_REASONS = {
    "bidirectional": "write the type of the inner layer, with 'bidirectional: true'",
    "dense": _OUTPUT,
    "dropout": "dropout is a key of each layer",
    "embedding": "the embedding is a separate section: embedding",
    "identity": "an identity layer has no effect; remove it",
    "input": "the input is a separate section: input",
    "inputlayer": "the input is a separate section: input",
    "lambda": "a spec contains no code",
    "layernorm": "layer_norm is a key of each recurrent layer",
    "layernormalization": "layer_norm is a key of each recurrent layer",
    "linear": _OUTPUT,
    "masking": "padding is marked by input.mask_value or embedding.mask_zero",
    "peephole": "peepholes are not supported; neither Keras nor PyTorch has them",
    "peepholelstm": "peepholes are not supported; neither Keras nor PyTorch has them",
    "rnnrelu": "write 'type: simple' with 'activation: relu'",
    "stackedrnncells": "write a list of layers, or one layer with 'layers: 2'",
    "timedistributed": "with 'pooling: none', the head is applied at every time step",
    **dict.fromkeys(("activation", "leakyrelu", "prelu", "relu", "elu", "softmax"), _ACTIVATION),
    **dict.fromkeys(("sigmoid", "softplus", "softsign", "tanh"), _ACTIVATION),
    **dict.fromkeys(("add", "average", "concatenate", "dot", "maximum", "minimum"), _CHAIN),
    **dict.fromkeys(("concat", "multiply", "residual", "subtract"), _CHAIN),
    **dict.fromkeys(("flatten", "permute", "reshape", "unflatten"), _RESHAPE),
    **dict.fromkeys(("feedforward", "ffn", "fullyconnected", "mlp"), _OUTPUT),
    **dict.fromkeys(("cfc", "esn", "grud", "hopfield", "janet", "jordan", "lmu", "lru"), _NO_CELL),
    **dict.fromkeys(("lstmp", "ltc", "mamba", "mgu", "mru", "nas", "nru", "ran"), _NO_CELL),
    **dict.fromkeys(("reservoir", "rhn", "rwkv", "s4", "sru", "ssm", "tcn", "xlstm"), _NO_CELL),
}  # fmt: skip

# Parts of class names that have many variants; the first one that matches counts.
_PARTS = (
    ("conv", "convolutions are not supported"),
    ("cnn", "convolutions are not supported"),
    ("attention", _ATTENTION),
    ("transformer", _ATTENTION),
    ("pool", "for pooling over time steps, use head.pooling"),
    ("spatialdropout", "use dropout, a key of each layer, with 'variational: true'"),
    ("alphadropout", _NOISE),
    ("gaussian", _NOISE),
    ("dropout", "dropout is a key of each layer"),
    ("norm", _NORM),
    ("embedding", "the embedding is a separate section: embedding"),
    ("dense", _OUTPUT),
    ("linear", _OUTPUT),
    ("pad", _RESHAPE),
    ("cropping", _RESHAPE),
    ("loss", "a spec describes a network, not its training"),
    *(
        (part, _ACTIVATION)
        for part in ("elu", "glu", "mish", "shrink", "sigmoid", "silu", "softm", "swish", "tanh")
    ),
)


def layer_for(name: str) -> str | None:
    """Return a hint for the foreign type ``name``: an equivalent, a reason for none, or None."""
    bare = _bare(name)
    if equivalent := _type(bare):
        return f"use {equivalent!r}"
    if reason := _REASONS.get(bare):
        return reason
    if cell := _bidirectional(bare):
        return f"write 'type: {cell}' with 'bidirectional: true'"
    if cell := _stacked(bare):
        both = "'bidirectional: true' and " if "bi" in bare else ""
        return f"write 'type: {cell}' with {both}'layers: 2', or the number of layers you need"
    for part, reason in _PARTS:
        if part in bare:
            return reason
    return _NO_CELL if _VARIANT.fullmatch(bare) else None


def type_for(name: str) -> str | None:
    """Return the type of a single layer of the foreign type ``name``, or None."""
    bare = _bare(name)
    return _type(bare) or (None if bare in _REASONS else _bidirectional(bare) or _stacked(bare))


def _bare(name: str) -> str:
    return squeezed(without_module(name))


def _type(bare: str) -> str | None:
    match = _PLAIN.fullmatch(bare)
    return _CELLS[match["cell"]] if match else _TYPES.get(bare.removesuffix("cell"))


def _bidirectional(bare: str) -> str | None:
    match = _BIDIRECTIONAL.fullmatch(bare)
    if match is None:
        return None
    cell = match["cell"] or match["first"]
    exact = _type(cell)
    # After a lone 'b', a similar word may be an unrelated one.
    return exact or (_nearest_cell(cell) if match["cell"] and bare.startswith("bi") else None)


def _stacked(bare: str) -> str | None:
    match = _STACKED.fullmatch(bare)
    return (_type(match["cell"]) or _bidirectional(match["cell"])) if match else None


def _nearest_cell(name: str) -> str | None:
    near = nearest(name, _CELLS)
    return _CELLS[near] if near else None

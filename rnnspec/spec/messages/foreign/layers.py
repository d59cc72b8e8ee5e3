"""Foreign types of layers."""

from __future__ import annotations

import re

from rnnspec.spec.messages.foreign.spelling import squeezed, without_module
from rnnspec.spec.wording import nearest

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
_PLAIN = re.compile(r"(?:basic|cudnn|plain|simple|vanilla)?(?P<cell>lstm|gru|rnn)(?:cell|layer)?")
_TWO_WAYS = re.compile(r"(?:bidirectional|bidir|bi|b)(?P<cell>.+)|(?P<first>.+?)(?:bidirectional)")
_STACKED = re.compile(r"(?:deep|multilayer|stacked)(?P<cell>.+)")
_VARIETY = re.compile(r".+(?:lstm|gru|rnn)(?:cell|layer)?")

_NO_CELL = "there is no such cell; simple, lstm and gru are the cells"
_ACTIVATION = "activation is a key of each layer"
_ATTENTION = "there is no attention"
_NOISE = "there is no noise but dropout, a key of each layer"
_NORM = "layer_norm, a key of each layer, is the only normalization"
_OUTPUT = "dense layers stand in head: head.units, head.hidden"
_ONE_LINE = "layers stand in one line; merge joins two directions, residual adds what entered"
_SHAPES = "nothing is reshaped; head.pooling makes one vector of all steps"

_REASONS = {
    "bidirectional": "write the type inside it, with bidirectional: true beside it",
    "dense": _OUTPUT,
    "dropout": "dropout is a key of each layer",
    "embedding": "the embedding is a section of its own",
    "identity": "a layer that does nothing is left out",
    "input": "the input is a section of its own",
    "inputlayer": "the input is a section of its own",
    "lambda": "a spec holds no code",
    "layernorm": "layer_norm is a key of each layer",
    "layernormalization": "layer_norm is a key of each layer",
    "linear": _OUTPUT,
    "masking": "padding is told by input.mask_value or embedding.mask_zero",
    "peephole": "an lstm has no peepholes; neither framework has them",
    "peepholelstm": "an lstm has no peepholes; neither framework has them",
    "rnnrelu": "write type: simple with activation: relu",
    "stackedrnncells": "write the layers as a list, or one with layers: 2",
    "timedistributed": "with head.pooling none the head is applied at every step",
    **dict.fromkeys(("activation", "leakyrelu", "prelu", "relu", "elu", "softmax"), _ACTIVATION),
    **dict.fromkeys(("sigmoid", "softplus", "softsign", "tanh"), _ACTIVATION),
    **dict.fromkeys(("add", "average", "concatenate", "dot", "maximum", "minimum"), _ONE_LINE),
    **dict.fromkeys(("concat", "multiply", "residual", "subtract"), _ONE_LINE),
    **dict.fromkeys(("flatten", "permute", "reshape", "unflatten"), _SHAPES),
    **dict.fromkeys(("feedforward", "ffn", "fullyconnected", "mlp"), _OUTPUT),
    **dict.fromkeys(("cfc", "esn", "grud", "hopfield", "janet", "jordan", "lmu", "lru"), _NO_CELL),
    **dict.fromkeys(("lstmp", "ltc", "mamba", "mgu", "mru", "nas", "nru", "ran"), _NO_CELL),
    **dict.fromkeys(("reservoir", "rhn", "rwkv", "s4", "sru", "ssm", "tcn", "xlstm"), _NO_CELL),
}  # fmt: skip

# Parts of the names of classes, for those that have many; the first that is part of one counts.
_PARTS = (
    ("conv", "there are no convolutions"),
    ("cnn", "there are no convolutions"),
    ("attention", _ATTENTION),
    ("transformer", _ATTENTION),
    ("pool", "pooling over the steps is head.pooling"),
    ("spatialdropout", "write dropout, a key of each layer, with variational: true"),
    ("alphadropout", _NOISE),
    ("gaussian", _NOISE),
    ("dropout", "dropout is a key of each layer"),
    ("norm", _NORM),
    ("embedding", "the embedding is a section of its own"),
    ("dense", _OUTPUT),
    ("linear", _OUTPUT),
    ("pad", _SHAPES),
    ("cropping", _SHAPES),
    ("loss", "a spec describes a network, not its training"),
    *(
        (part, _ACTIVATION)
        for part in ("elu", "glu", "mish", "shrink", "sigmoid", "silu", "softm", "swish", "tanh")
    ),
)


def layer_for(word: str) -> str | None:
    """Return what to write for the type of layer ``word``, or why there is none, or None."""
    bare = _bare(word)
    if here := _type(bare):
        return f"here it is {here!r}"
    if reason := _REASONS.get(bare):
        return reason
    if cell := _two_ways(bare):
        return f"write type: {cell} with bidirectional: true"
    if cell := _stacked(bare):
        both = "bidirectional: true and " if "bi" in bare else ""
        return f"write type: {cell} with {both}layers: 2, or as many as there are"
    for part, reason in _PARTS:
        if part in bare:
            return reason
    return _NO_CELL if _VARIETY.fullmatch(bare) else None


def type_for(word: str) -> str | None:
    """Return the type here of what ``word`` names, of one direction and one layer, or None."""
    bare = _bare(word)
    return _type(bare) or (None if bare in _REASONS else _two_ways(bare) or _stacked(bare))


def _bare(word: str) -> str:
    return squeezed(without_module(word))


def _type(bare: str) -> str | None:
    match = _PLAIN.fullmatch(bare)
    return _CELLS[match["cell"]] if match else _TYPES.get(bare.removesuffix("cell"))


def _two_ways(bare: str) -> str | None:
    match = _TWO_WAYS.fullmatch(bare)
    if match is None:
        return None
    cell = match["cell"] or match["first"]
    exact = _type(cell)
    # After 'b' alone a near word might as well be a word of its own.
    return exact or (_nearest_cell(cell) if match["cell"] and bare.startswith("bi") else None)


def _stacked(bare: str) -> str | None:
    match = _STACKED.fullmatch(bare)
    return (_type(match["cell"]) or _two_ways(match["cell"])) if match else None


def _nearest_cell(word: str) -> str | None:
    near = nearest(word, _CELLS)
    return _CELLS[near] if near else None

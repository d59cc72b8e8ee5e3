"""Hypothesis strategies for the layers and heads of random specs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from hypothesis import strategies as st

from rnnspec.ir.nodes import Window
from rnnspec.spec import models
from rnnspec.words import CellActivation, Statistic

Words = dict[str, Any]


LONGEST = 64
"""The longest valid name."""
ROOM = len("_2_initial_h")
"""The longest suffix of the name of a recurrent layer, but for ``room_of``."""
SIZES = st.integers(1, 5)
RATES = st.sampled_from([0, 0.0, 0.1, 0.25, 0.5, 1e-05])
CELL_ACTIVATIONS = st.sampled_from(get_args(CellActivation))
# Without exponential, which overflows unless its input is bounded; see any_head.
ACTIVATIONS = CELL_ACTIVATIONS | st.sampled_from(["softmax", "log_softmax"])
ANY_ACTIVATIONS = st.one_of(
    ACTIVATIONS,
    st.sampled_from([0.01, 0.2, 0.3]).map(lambda slope: {"leaky_relu": slope}),
    st.sampled_from([0.3, 1, 6.0, 20]).map(lambda limit: {"clipped_relu": limit}),
)
_ACTIVATED = {"activation": ANY_ACTIVATIONS, "bias": st.booleans()}
ATTENTIONS = st.one_of(
    st.just({"attention": {}}),
    ANY_ACTIVATIONS.map(lambda activation: {"attention": {"activation": activation}}),
    st.fixed_dictionaries({"units": SIZES}, optional=_ACTIVATED).map(
        lambda settings: {"attention": settings}
    ),
)
DRAWN = st.one_of(
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda limit: {"uniform": limit}),
    st.sampled_from([0.05, 0.3, 1, 1e-05]).map(lambda stddev: {"normal": stddev}),
    st.sampled_from([-0.0, 0, 0.5, 1.0, -2, 1e30]).map(lambda value: {"constant": value}),
)
END_STEPS = ("first_step", "last_step")
"""Poolings without a mask: with one, the step may be padding."""
VECTORS = st.sampled_from(["zeros", "ones"]) | DRAWN
MATRICES = st.one_of(
    st.sampled_from(["glorot_uniform", "he_uniform", "lecun_uniform", "orthogonal"]), VECTORS
)

CELLS: dict[str, Words] = {
    "asking": {
        "states": ["a", "h"],
        "memory": ["m"],
        "equations": {
            "h": "tanh(W @ x + V @ a + U @ h + b)",
            "s": "attend(A @ h, m)",
            "a": "tanh(W_s @ s + W_h @ h)",
        },
    },
    "peephole": {
        "states": ["h", "c"],
        "equations": {
            "i": "sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)",
            "c": "(1 - i) * c + i * tanh(W_c @ x + U_c @ h + b_c)",
            "h": "sigmoid(W_o @ x + U_o @ h + p_o * c + b_o) * tanh(c)",
        },
        "initialize": {"b_i": "ones", "p_o": 0.25, "U_i": {"normal": 0.3}},
    },
    "minimal": {
        "states": ["h"],
        "equations": {
            "f": "sigmoid(W_f @ x + U_f @ h + b_f)",
            "h": "(1 - dt * f) * h + dt * f * tanh(W_n @ x + U_n @ (f * h) + b_n)",
        },
        "settings": {"dt": 0.5},
    },
    "three_states": {
        "states": ["h", "m", "n"],
        "equations": {
            "z": "hard_sigmoid(W @ concat(x, h, m) + b)",
            "n": "n / 2 + abs(V @ x)",
            "m": "0.5 * m + Q @ (z * h) + x / (1 + abs(Q @ n))",
            "h": "z * tanh(P @ m) + (1 - z) * softsign(h)",
        },
        "sizes": {"m": "features"},
        "output": "alpha * h + R @ m",
        "parameters": {"alpha": "scalar", "Q": ["features", "units"]},
        "initialize": {"alpha": 2},
    },
    "chosen": {
        "states": ["h"],
        "equations": {
            "s": "softmax(W @ x + layer_norm(U @ h, 0.1))",
            "h": "where(s > 0.25, tanh((A - A.T) @ h + V @ x), minimum(0.5 * h, s))",
        },
    },
    "joined": {
        "states": ["h"],
        "equations": {
            "g": "W @ x + U @ h + b",
            "z": "sigmoid(split(g, 1, 2))",
            "h": "z * h + (1 - z) * standardize(split(g, 2, 2), 0.1)",
        },
    },
    "reduced": {
        "states": ["h", "m"],
        "equations": {
            "a": "sum(x) - x[0] * mean(x)",
            # Keras warns of a softmax over one feature, so a group has two units or more.
            "k": "softmax(concat(h, tanh(W @ x + b), m, h * m), 2)",
            "q": "split(k, 1, 4) - split(k, 3, 4)",
            "m": "0.5 * m + max(q) * h[-1] + tanh(a) * q",
            "h": "tanh(h / (0.1 + norm(h - m)) + P @ concat(x[0:1], h[-1:]) + dot(h, m))",
        },
    },
    "highway": {
        "states": ["h"],
        "equations": [
            {"y": "W @ x"},
            {
                "repeat": 2,
                "own": ["R", "b"],
                "equations": {"t": "sigmoid(T @ h + b)", "h": "(1 - t) * h + t * tanh(R @ h + y)"},
            },
        ],
    },
    "projected": {
        "states": ["h", "c"],
        "equations": {
            "c": "0.5 * c + tanh(W @ x + U @ h + b)",
            "h": "P @ elu(c)",
        },
        "settings": {"projection": 2},
        "sizes": {"h": "projection"},
    },
    # Only a graph has what it takes.
    "fused": {
        "inputs": ["x", "v"],
        "states": ["h", "c"],
        "equations": {
            "i": "sigmoid(W_i @ v + b_i)",
            "d": "exp(-relu(w * v[0] + U_d @ h))",
            "c": "d * c + i * tanh(W @ x + V @ v + U @ (d * h) + b)",
            "h": "tanh(c) * sum(p * x)",
        },
    },
    "fused_three": {
        "inputs": ["x", "v", "r"],
        "states": ["h"],
        "equations": {
            "q": "tanh(V_q @ v + R_q @ r + b_q)",
            "k": "q * sigmoid(W_k @ x + V_k @ v)",
            "u": "concat(x, tanh(V_u @ v), r, b_u)",
            "h": "k * tanh(W_h @ u + U_h @ h + R_h @ r + b_h) + 0.5 * (1 - k) * q",
        },
        "parameters": {"b_u": [2]},
    },
    "fused_asking": {
        "inputs": ["x", "v"],
        "states": ["a", "h"],
        "memory": ["m"],
        "equations": {
            "i": "sigmoid(V_i @ v + b_i)",
            "h": "i * tanh(W @ x + V @ v + R @ a + U @ h + b)",
            "s": "attend(A @ h, m)",
            "a": "tanh(W_s @ s + V_s @ v)",
        },
    },
    # Those of an LSTM, in other words.
    "memory": {
        "states": ["y", "c"],
        "equations": {
            "k": "tanh(W_k @ x + (b_k + U_k @ y))",
            "keep": "sigmoid(U_f @ y + W_f @ x + b_f)",
            "c": "sigmoid(W_i @ x + U_i @ y + b_i) * k + c * keep",
            "y": "tanh(c) * sigmoid(W_o @ x + U_o @ y + b_o)",
        },
        "initialize": {"b_f": "ones"},
    },
}
"""Cells for random specs; those of other sizes than ``units`` are in ``width_of``."""
PLAIN_CELLS = {name for name, cell in CELLS.items() if not {"inputs", "memory"} & cell.keys()}
"""Those of one input that attend to nothing."""


def width_of(layer: Words) -> int:
    """Return the number of features that a recurrent layer gives in a direction."""
    width: int = layer["units"]
    return layer.get("projection", 2) if layer["type"] == "projected" else width


class Names:
    """Names that are used once: all of them ``length`` long, or a few short ones."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self._number = 0

    def network(self) -> str:
        """Return the name of the network."""
        return "network_gru_".ljust(self.length, "x") if self.length else "small_net"

    def layer(self, draw: st.DrawFn, *, room: int = 0) -> Words:
        """Return a ``name`` key, or nothing; ``room`` is left for a suffix."""
        drawn = self.new(room=room)
        return drawn if self.length or draw(st.integers(0, 3)) == 0 else {}

    def new(self, *, room: int = 0) -> Words:
        """Return a ``name`` key; ``room`` is left for a suffix."""
        self._number += 1
        if self.length:
            return {"name": f"layer_{self._number}_".ljust(self.length - room, "y")}
        return {"name": f"my_layer_{self._number}"}


@dataclass
class Flow:
    """The output so far: its width, its steps, and the outputs that a join can name."""

    width: int
    steps: int | None
    masked: bool
    outputs: list[tuple[str, int]] = field(default_factory=list)


@st.composite
def window_keys(draw: st.DrawFn, kind: str, flow: Flow) -> Words:
    """Draw the keys of a convolution or a pool, and change the flow as it does."""
    is_conv = kind == "conv"
    words = ["valid", "same", "numbers", *(["causal"] if is_conv else [])]
    padding: Any = draw(st.sampled_from(words))
    # Without padding, a window fits into the steps.
    fits = flow.steps is None or padding in ("same", "causal")
    longest = 4 if fits else min(4, flow.steps or 4)
    size = draw(st.integers(1, longest))
    stride = draw(st.integers(1, 3)) if draw(st.booleans()) else None
    dilation = 1
    # Keras has either a stride or a dilation, which has no effect on windows of one step.
    if is_conv and size > 1 and stride in (None, 1) and draw(st.integers(0, 3)) == 0:
        room = 3 if fits else flow.steps or 3
        dilation = draw(st.integers(1, max(1, (room - 1) // (size - 1))))
        dilation = min(dilation, 3)
    layer: Words = {"kernel_size" if is_conv else "size": size}
    if is_conv:
        layer |= {"filters": draw(SIZES)}
        layer |= draw(st.fixed_dictionaries({}, optional=_ACTIVATED))
        flow.width = layer["filters"]
    if padding == "numbers":
        reach = dilation * (size - 1)
        before = draw(st.integers(0, reach))
        # With a mask, there are no more windows than steps.
        padding = [before, draw(st.integers(0, reach - before if flow.masked else reach))]
    if padding != "valid" or draw(st.booleans()):
        layer["padding"] = padding
    if stride is not None:
        layer["stride"] = stride
    if dilation > 1:
        layer["dilation"] = dilation
    window = window_of(layer)
    flow.steps = window.count(flow.steps)
    if not window.keeps_steps:
        flow.outputs.clear()
    return layer


def window_of(layer: Words) -> Window:
    """Return the window of a convolution or a pool."""
    size: int = layer["kernel_size" if "kernel_size" in layer else "size"]
    padding = layer.get("padding", "valid")
    return Window(
        size=size,
        stride=layer.get("stride", 1 if "kernel_size" in layer else size),
        dilation=layer.get("dilation", 1),
        padding=tuple(padding) if isinstance(padding, list) else padding,
    )


def _as_lowered(pooling: Any) -> str:
    """Return a text that is equal for poolings that mean the same."""
    if isinstance(pooling, dict) and "attention" in pooling:
        defaults = {"units": None, "activation": "tanh", "bias": True}
        return repr({"attention": defaults | pooling["attention"]})
    return repr(pooling)


def poolings_of(head: Words) -> list[Any]:
    """Return the poolings of a head."""
    pooling = head.get("pooling", "last")
    return pooling if isinstance(pooling, list) else [pooling]


def room_of(type_: str) -> int:
    """Return the longest suffix of the name of a layer, whose output may be a state to learn."""
    return len("_2_initial_output") if "output" in CELLS.get(type_, {}) else ROOM


@st.composite
def recurrent_layers(
    draw: st.DrawFn, names: Names, width: int, *, sequence: bool, cells: bool
) -> Words:
    """Draw a recurrent layer; one that gives no ``sequence`` has no residual."""
    type_ = draw(st.sampled_from(models.RECURRENT))
    if cells and draw(st.integers(0, 4)) == 0:
        type_ = draw(st.sampled_from(sorted(PLAIN_CELLS)))
    layer: Words = {"type": type_, "units": draw(SIZES)}
    if draw(st.integers(0, 3)) == 0:
        layer["layers"] = draw(st.integers(1, 2))
    layer |= names.layer(draw, room=room_of(type_))
    layer |= draw(_dropouts())
    if draw(st.booleans()):
        layer["bidirectional"] = True
        if draw(st.integers(0, 3)):
            layer["merge"] = draw(st.sampled_from(["concat", "sum", "mul", "ave"]))
    elif draw(st.integers(0, 4)) == 0:
        layer["direction"] = draw(st.sampled_from(["backward", "forward"]))
    if draw(st.integers(0, 4)) == 0:
        layer["initial_state"] = draw(st.sampled_from(["learned", "zeros"]))
    if type_ not in CELLS and draw(st.booleans()):
        layer["bias"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        layer["layer_norm"] = draw(
            st.booleans()
            | st.sampled_from([{"epsilon": 1e-05}, {"scale": False}, {"offset": False}])
        )
    layer |= draw(_cells(type_))
    if sequence and type_ != "projected" and draw(st.integers(0, 3)) == 0:
        joined = layer.get("bidirectional") and layer.get("merge", "concat") == "concat"
        # The output must be as wide as the input, and two directions cannot have an odd sum.
        if not (joined and width % 2):
            layer |= {"units": width // 2 if joined else width, "residual": True}
    if layer["units"] == 1 and layer.get("layer_norm") == {"epsilon": 1e-05}:
        # What a framework rounds in a norm of one feature, this multiplies by 300.
        layer["layer_norm"] = True
    return layer


@st.composite
def _dropouts(draw: st.DrawFn) -> Words:
    drawn: Words = {}
    if draw(st.booleans()):
        drawn["dropout"] = draw(RATES)
        # Without a rate above 0, 'variational' has no effect, which is an error.
        if drawn["dropout"] and draw(st.booleans()):
            drawn["variational"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        drawn["recurrent_dropout"] = draw(RATES)
    return drawn


@st.composite
def _cells(draw: st.DrawFn, type_: str) -> Words:
    drawn: Words = {}
    if type_ in CELLS:
        settings = CELLS[type_].get("settings", {})
        return {key: draw(st.just(value) | SIZES) for key, value in settings.items()}
    if draw(st.integers(0, 2)) == 0:
        drawn["activation"] = draw(CELL_ACTIVATIONS)
    if type_ != "simple" and draw(st.integers(0, 2)) == 0:
        drawn["recurrent_activation"] = draw(CELL_ACTIVATIONS)
    if type_ == "gru" and draw(st.booleans()):
        drawn["reset_after"] = draw(st.booleans())
    return drawn


@st.composite
def any_head(draw: st.DrawFn, names: Names) -> Words:
    """Draw a head whose pooling may not fit what it reads."""
    one = st.sampled_from(get_args(Statistic)) | ATTENTIONS
    several = st.lists(one, min_size=2, max_size=3, unique_by=_as_lowered)
    pooling = st.one_of(
        st.sampled_from(["last", "mean", "max", "none", *END_STEPS]),
        st.sampled_from(["sum", "min", "flatten"])
        | st.integers(1, 3).map(lambda k: {"last_steps": k}),
        ATTENTIONS | several,
    )
    head: Words = draw(st.fixed_dictionaries({}, optional={"pooling": pooling, "dropout": RATES}))
    if draw(st.booleans()):
        head["hidden"] = draw(st.lists(_hidden(names), min_size=1, max_size=2))
    if draw(st.integers(0, 4)):
        output = {"activation": ANY_ACTIVATIONS, "bias": st.booleans()}
        head |= {"units": draw(SIZES), **names.layer(draw)}
        head |= draw(st.fixed_dictionaries({}, optional=output))
        if draw(st.integers(0, 7)) == 0:
            bounded = {"units": draw(SIZES), "activation": "tanh"}
            head |= {"hidden": [*head.get("hidden", []), bounded], "activation": "exponential"}
    gives_steps = head.get("pooling") == "none" or "last_steps" in poolings_of(head)[0]
    if not gives_steps and draw(st.integers(0, 3)) == 0:
        head["normalize"] = draw(st.sampled_from(["l2", "none"]))
    return head


@st.composite
def _hidden(draw: st.DrawFn, names: Names) -> Words:
    kind = draw(st.sampled_from(["dense"] * 3 + [*models.HIDDEN]))
    match kind:
        case "dense":
            optional = {"activation": ANY_ACTIVATIONS, "bias": st.booleans(), "dropout": RATES}
            layer = draw(st.fixed_dictionaries({"units": SIZES}, optional=optional))
            layer |= {"type": "dense"} if draw(st.booleans()) else {}
        case _:
            layer = {"type": kind, **draw(layer_keys(kind, "momentum", "variational"))}
    return {**layer, **names.layer(draw)}


@st.composite
def layer_keys(draw: st.DrawFn, kind: str, *without: str) -> Words:
    """Draw the keys of a layer; one without values of its own has those of its examples."""
    layer, optional = Words(), dict[str, st.SearchStrategy[Any]]()
    for key, declared in models.KINDS[kind].model_fields.items():
        if key in ("type", "name", "of", "shares", *without):
            continue
        values = _BY_KEY[key] if key in _BY_KEY else st.sampled_from(declared.examples or ())
        if declared.is_required():
            layer[key] = draw(values)
        else:
            optional[key] = values
    layer |= draw(st.fixed_dictionaries({}, optional=optional)) if optional else {}
    if kind == "instance_norm" and not layer.get("scale", True):
        # Keras has no offset without a scale.
        layer["offset"] = False
    return layer


_BY_KEY: dict[str, st.SearchStrategy[Any]] = {
    "units": SIZES,
    "activation": ANY_ACTIVATIONS,
    "bias": st.booleans(),
    "rate": RATES,
    # A tiny one would make the norm of nearly constant values as large as their rounding.
    "epsilon": st.sampled_from([1e-05, 1e-3, 0.1, 1]),
    "momentum": st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    "scale": st.booleans(),
    "offset": st.booleans(),
}


# All of the chosen cell is matrices, and a norm.
_BIASED = (*models.RECURRENT, *(CELLS.keys() - {"chosen"}), "dense", "conv")


@st.composite
def any_initializers(draw: st.DrawFn, spec: Words, layers: list[Words]) -> Words:
    """Draw the initializers of arrays that a spec has."""
    heads = [spec["head"]] if "head" in spec else [*spec.get("heads", {}).values()]
    own = (layer for layer in layers if "shares" not in layer)
    biased = [layer for layer in own if layer["type"] in _BIASED and layer.get("bias", True)]
    hidden = [
        layer
        for head in heads
        for layer in head.get("hidden", [])
        if layer.get("type", "dense") == "dense"
    ]
    scored = any(
        isinstance(pooling, dict)
        and pooling.get("attention", {}).get("units")
        and pooling["attention"].get("bias", True)
        for head in (*heads, *(layer for layer in layers if layer["type"] == "pool"))
        for pooling in poolings_of(head)
    )
    optional = {"kernel": MATRICES, "recurrent": MATRICES}
    if "embedding" in spec or any("embedding" in each for each in spec.get("inputs", {}).values()):
        optional["embedding"] = VECTORS
    last = any("units" in head and head.get("bias", True) for head in heads)
    if biased or last or scored or any(layer.get("bias", True) for layer in hidden):
        optional["bias"] = VECTORS
    # A network has one value for all its LSTMs, and that of equations is 1.
    types = {layer["type"] for layer in biased}
    if "lstm" in types and "memory" not in types:
        optional["forget_bias"] = st.sampled_from([0, 0.5, 1, 1.0, -1e-05, 2.5])
    return draw(st.just({}) | st.fixed_dictionaries({}, optional=optional))


_OF_ELEMENTS = (
    *("tanh({})", "sigmoid({})", "relu({})", "softplus({})", "elu({})", "hard_sigmoid({})"),
    *("silu({})", "softsign({})", "legacy_hard_sigmoid({})", "exp(-abs({}))", "-{}"),
    *("log(1 + abs({}))", "sqrt(abs({}) + 0.5)", "where({} > 0.1, sqrt(2), -0.3)"),
)
_OF_TWO = (
    *("{} + {}", "{} - {}", "{} * {}", "{} / (1 + abs({}))", "minimum({}, {})"),
    *("maximum({}, {} * scale)", "where(x1 - {} <= {}, 1.5, tanh(x1))", "maximum({}, 0.2) - {}"),
)
_OF_VECTORS = (
    *("softmax({})", "standardize({}, 0.1)", "sum({}) * 0.3", "mean({})", "max({})"),
    *("norm({})", "({})[1]", "({0})[-1] - ({0})[0]", "dot({0}, tanh({0})) * 0.2"),
)


@st.composite
def formulas(draw: st.DrawFn, widths: dict[str, int]) -> Words:
    """Return keys of a formula of values, each with its features: one, or as many as another."""
    width = max(widths.values())
    wide = [name for name, own in widths.items() if own > 1]
    lines: dict[str, str] = {}

    def term(depth: int) -> str:
        names = [*widths, *lines]
        if not depth or draw(st.integers(0, 3)) == 0:
            return draw(st.sampled_from([*names, "0.7", "2"]))
        one = f"({term(depth - 1)})"
        match draw(st.sampled_from(["one", "two", "vector", "parts"])):
            case "one":
                return draw(st.sampled_from(_OF_ELEMENTS)).format(f"({names[0]} - {one})")
            case "vector" if wide:
                vector = f"{draw(st.sampled_from(wide))} + {one}"
                return draw(st.sampled_from(_OF_VECTORS)).format(vector)
            case "parts" if wide and width % 2 == 0:
                if draw(st.booleans()):
                    vector = f"{draw(st.sampled_from(wide))} + {one}"
                    taken = draw(st.sampled_from([f"[0:{width}]", f"[-{width}:]"]))
                    # Keras warns of a softmax over one feature.
                    groups = draw(st.sampled_from([2, width // 2])) if width > 2 else 1
                    return f"softmax({vector}, {groups}){taken}"
                first, last = draw(st.sampled_from(wide)), draw(st.sampled_from(wide))
                return f"concat(split({first} * {one}, 2, 2), split({last}, 1, 2))"
            case _:
                text = draw(st.sampled_from(_OF_TWO)).format(one, f"({term(depth - 1)})")
                return text.replace("x1", names[0])

    for name in ("q", "r")[: draw(st.integers(0, 2))]:
        lines[name] = f"{term(2)} + {draw(st.sampled_from([*widths]))}"
    text = f"{term(2)} + {' * '.join(widths)} - {' - '.join([*widths, *lines])}"
    learns = draw(st.integers(0, 2)) == 0
    if learns:
        of = draw(st.sampled_from([*wide, *wide, *lines]) if wide else st.just(""))
        text = f"gain * ({text}) + shift" + (f" + tanh(K @ ({of} - 0.1) + c)" if of in wide else "")
    keys: Words = {"equations": {**lines, "y": text}}
    if learns:
        keys["initialize"] = {"gain": "ones", "shift": {"normal": 0.3}}
        keys["parameters"] = {"gain": draw(st.sampled_from(["scalar", [width]])), "shift": [width]}
        if of in wide:
            keys["equations"] = {"z": f"Z @ {of}", **keys["equations"]}
            keys["equations"]["y"] += " - 0.3 * sum(tanh(z))"
            keys |= {"units": width, "sizes": {"z": "2 * units"}}
    if "scale" in "".join(keys["equations"].values()):
        keys["settings"] = {"scale": draw(st.sampled_from([0.3, 2]))}
    return keys

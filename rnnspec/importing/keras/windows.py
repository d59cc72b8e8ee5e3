"""Convolutions and poolings of windows in Keras: their settings, and their place in the network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from rnnspec.importing import unplaced
from rnnspec.importing.graph.windows import fit_window
from rnnspec.importing.imported import show_value
from rnnspec.importing.keras import pieces
from rnnspec.importing.keras.settings import Settings, layer_activation
from rnnspec.ir import nodes
from rnnspec.words import WindowPadding

if TYPE_CHECKING:
    from rnnspec.importing.keras.arrays import Foreign
    from rnnspec.importing.keras.draft import KerasDraft
    from rnnspec.importing.keras.pieces import Piece
    from rnnspec.words import WindowStatistic


def read_conv(settings: Settings, layer: Foreign) -> Piece:
    """Return a convolution."""
    settings.only("groups", 1, why="rnnspec does not support groups")
    bias = settings.flag("use_bias", True)
    filters = settings.size("filters")
    window = _window(settings, "kernel_size", settings.size_over_steps("strides", 1))
    node = replace(
        unplaced.conv(layer.name, filters, window, bias=bias), activation=layer_activation(settings)
    )
    return pieces.Layer(layer=layer, node=node, initializers=settings.initializers(bias=bias))


def read_window_pooling(settings: Settings, layer: Foreign) -> Piece:
    """Return a pooling of windows."""
    size = settings.size_over_steps("pool_size", 2)
    window = _window(settings, "pool_size", settings.size_over_steps("strides", size), size)
    statistic: WindowStatistic = "max" if layer.kind == "MaxPooling1D" else "average"
    node = nodes.WindowPooling(
        name=layer.name, input=(), statistic=statistic, window=window, masked=False
    )
    return pieces.Layer(layer=layer, node=node)


def _window(settings: Settings, key: str, stride: int, size: int | None = None) -> nodes.Window:
    """Take the settings of a window over the steps."""
    settings.expect_steps_first()
    allowed = get_args(WindowPadding) if key == "kernel_size" else ("valid", "same")
    padding = settings.only(
        "padding", *allowed, why="rnnspec supports no other padding", default="valid"
    )
    return nodes.Window(
        size=size or settings.size_over_steps(key),
        stride=stride,
        dilation=settings.size_over_steps("dilation_rate", 1) if key == "kernel_size" else 1,
        padding=padding if padding in allowed else "valid",
    )


def read_zero_padding(settings: Settings, layer: Foreign) -> Piece:
    """Return zeros before and after the steps."""
    settings.expect_steps_first()
    match settings.take("padding", 1):
        case int(both) if type(both) is int and both >= 0:
            return pieces.ZeroPadding(layer, both, both)
        case [int(before), int(after)] if (
            type(before) is type(after) is int and min(before, after) >= 0
        ):
            return pieces.ZeroPadding(layer, before, after)
        case other:
            expected = "expected numbers of steps before and after"
            settings.refuse("padding", f"{expected}, received {show_value(other)}")
            return pieces.Lacking(layer)


def place_conv(draft: KerasDraft, layer: Foreign, node: nodes.Conv) -> None:
    """Place a convolution, with the zeros that were added before it."""
    window = node.window
    draft.expect_rank(layer, 2)
    now = draft.now
    if now.masked and not now.zeros:
        message = "reads padding, since Keras has no mask here, and rnnspec sets it to"
        draft.doubt(layer, f"{message} zero")
    if now.padding is not None:
        window = _with_zeros(draft, window, now.padding)
    _check_steps(draft, layer, window)
    draft.add(replace(node, window=window), layer)


def _check_steps(draft: KerasDraft, layer: Foreign, window: nodes.Window) -> None:
    steps = draft.now.shape[0]
    if steps is not None and steps < window.least(1):
        message = f"needs at least {window.least(1)} steps, its input has {steps}"
        draft.doubt(layer, message)


def place_window_pooling(draft: KerasDraft, layer: Foreign, node: nodes.WindowPooling) -> None:
    """Place a pooling of windows, with zeros that were added before it and never count."""
    window = node.window
    draft.expect_rank(layer, 2)
    now = draft.now
    if now.masked:
        draft.doubt(layer, "counts padding, since Keras has no mask here; rnnspec does not")
    if now.padding is not None:
        positive = node.statistic == "max" and _is_positive(draft, now.node)
        if positive and max(now.padding.before, now.padding.after) < window.size:
            window = _with_zeros(draft, window, now.padding)
        else:
            message = f"adds zeros that {layer.name} counts; rnnspec counts no padding"
            draft.refuse(now.padding.layer, message)
    _check_steps(draft, layer, window)
    draft.add(replace(node, window=window), layer)


def _is_positive(draft: KerasDraft, name: str) -> bool:
    """True if a node gives no negative number, so that a zero is no new maximum."""
    placed = draft.by_name.get(name)
    activation = getattr(placed.node, "activation", None) if placed else None
    return isinstance(activation, nodes.ClippedRelu) or activation in _POSITIVE


def place_zero_padding(draft: KerasDraft, piece: pieces.ZeroPadding) -> None:
    """Keep zeros for the windows behind them."""
    draft.expect_rank(piece.layer, 2)
    if piece.before == piece.after == 0:
        draft.leave_out(piece.layer, "padding of 0 steps")
    else:
        draft.now = replace(draft.now, padding=piece)


def _with_zeros(draft: KerasDraft, window: nodes.Window, zeros: pieces.ZeroPadding) -> nodes.Window:
    """Return the windows of the language that read the same steps with the zeros around."""
    before, after = zeros.before, zeros.after
    if window.padding != "valid":
        message = f"adds {before} and {after} steps; expected 'valid' behind it"
    else:
        other = fit_window(window, (before, after), draft.now.shape[0], ("causal", "same"))
        if other is not None:
            draft.became.append((zeros.layer, None, f"padding: {other.padding}"))
            return other
        message = f"adds {before} and {after} steps; expected at most {window.reach}"
    draft.account.refuse(f"{zeros.layer.name}.padding", message, "E703")
    return window


_POSITIVE = ("relu", "sigmoid", "hard_sigmoid", "legacy_hard_sigmoid", "softmax", "softplus",
             "exponential")  # fmt: skip

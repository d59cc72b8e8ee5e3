"""A recurrent layer in one direction: a cell at each step, and its state."""

from __future__ import annotations

from rnnspec.drawing import words
from rnnspec.drawing.layout.axes import Column
from rnnspec.drawing.layout.canvas import Canvas, box
from rnnspec.drawing.layout.drawing import Drawing, Note, Port
from rnnspec.drawing.layout.states import Track, draw_loop, draw_names, draw_states
from rnnspec.drawing.scene import Disc, Role
from rnnspec.ir.nodes import Recurrent

HELD = "padding: the state is held"
_HALF_WIDTH, _HALF = 42.0, 21.0
_ROUTE, _FOLDED_ROUTE = 54.0, 118.0


def draw_cells(drawing: Drawing, layer: Recurrent) -> None:
    """Draw one cell at each step."""
    has_residual = any(port and port.via is not None for port in drawing.ports)
    if has_residual:
        drawing.route = _FOLDED_ROUTE if drawing.folded else _ROUTE
    if layer.dropout:
        drawing.drop(layer.dropout, f"dropout {layer.dropout:g}")
    y = drawing.place(_HALF, 52, words.entry(layer))
    track = Track(layer, "", y, 0.0, _HALF_WIDTH)
    ports = [cell(drawing, track, column) for column in drawing.columns]
    rise_to(drawing, track)
    drawing.arrived(layer.name, y + _HALF)
    _draw_state(drawing, track)
    if layer.return_sequences:
        pairs = zip(drawing.columns, ports, strict=True)
        drawing.raised(
            [None if track.hollow(column) else port for column, port in pairs], y - _HALF
        )
    else:
        _draw_final(drawing, track, ports[-1])


def cell(drawing: Drawing, track: Track, column: Column) -> Port:
    """Draw a cell, and return where its arrow leaves: the state itself in a hollow cell."""
    hollow, x = track.hollow(column), column.x + track.shift
    role: Role = "padding" if hollow else "backward" if track.sign < 0 else "forward"
    high = 2 * _HALF if not track.direction else 38.0
    content = "" if hollow else words.cell_name(track.layer.cell, short=bool(track.direction))
    shapes = box(x, track.y, content, role, (2 * track.half, high))
    name = drawing.canvas.node(track.layer.name, column, *shapes, direction=track.direction)
    top = track.y + track.lanes[-1][1] if hollow else track.y - high / 2
    return Port(x, top, name, track.half)


def rise_to(drawing: Drawing, track: Track, *, cased: bool = False) -> None:
    """Draw the arrows from the row below to the cells of one direction."""
    high = 19.0 if track.direction else _HALF
    for column, port in zip(drawing.columns, drawing.ports, strict=True):
        if port and not track.hollow(column):
            end = (column.x + track.shift, track.y + high)
            drawing.rise(port, column.name(track.name), end, cased=cased)


def _draw_state(drawing: Drawing, track: Track) -> None:
    layer, canvas = track.layer, drawing.canvas
    last = drawing.columns[-1]
    if drawing.folded:
        right = max(draw_loop(canvas, track, last), last.x + drawing.route)
    elif drawing.axis is not None:
        draw_states(canvas, track, drawing.axis)
        right = last.x + (track.half + 14 if track.hollow(last) else max(track.half, drawing.route))
        if not drawing.named and _adjacent(drawing) and not track.hollow(drawing.columns[1]):
            draw_names(canvas, track, drawing.columns, drawing.route)
    drawing.named = True
    drawing.beside(layer.name, right, track.y, remarks(drawing, layer))


def remarks(drawing: Drawing, layer: Recurrent) -> list[tuple[str, Role]]:
    """Return the remarks on the state of a layer."""
    texts: list[tuple[str, Role]] = []
    if layer.recurrent_dropout:
        texts.append((f"recurrent dropout {layer.recurrent_dropout:g}", "dropout"))
    if layer.masked and (drawing.folded or drawing.columns[-1].padded):
        texts.append((HELD, "grey"))
    return texts


def _adjacent(drawing: Drawing) -> bool:
    """Return whether an arrow leads straight from the first step to the second."""
    number = len(drawing.columns)
    dotted = drawing.axis is not None and drawing.axis.dots is not None
    return number > (2 if dotted else 1)


def hold(canvas: Canvas, layer: str, port: Port) -> None:
    """Put a dot where an arrow leaves the state that is held."""
    canvas.marks(layer, Disc(x=port.x, y=port.y, radius=2.6, role="ink", solid=True))


def _draw_final(drawing: Drawing, track: Track, port: Port) -> None:
    """Go on with the state after the last step."""
    column = drawing.columns[-1]
    if track.hollow(column):
        hold(drawing.canvas, track.layer.name, port)
    length = drawing.axis.length if drawing.axis else ""
    drawing.to_vector(column.x, port, track.y - _HALF)
    drawing.notes.append(Note("h", "grey", length))

"""Elements of HTML, whose text is escaped where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

from rnnspec.errors import printable

Content = Element | str

_CELL = "padding: 0.2em 0.8em; border-bottom: 1px solid currentColor; white-space: nowrap"


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """Return an element; control characters in its text and attributes are shown as escapes."""
    root = Element(tag, {name: printable(value) for name, value in attributes.items()})
    for part in content:
        if isinstance(part, Element):
            root.append(part)
        elif len(root):
            root[-1].tail = (root[-1].tail or "") + printable(part)
        else:
            root.text = (root.text or "") + printable(part)
    return root


def render(root: Element) -> str:
    """Return an element as text that is well-formed as HTML and as XML."""
    text = tostring(root, encoding="unicode", short_empty_elements=False)
    # HTML has no </img> and reads <th/> as the start of a cell; a '>' in a value is escaped.
    for tag in ("img", "meta"):
        text = text.replace(f"></{tag}>", " />")
    return text


def table(
    titles: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    *,
    left: frozenset[int] = frozenset({0}),
) -> Element:
    """Return a table in the colours of the page around it.

    The columns in ``left`` are aligned to the left, the others to the right.
    """

    def row(tag: str, cells: Sequence[Content]) -> Element:
        sides = ("left" if column in left else "right" for column in range(len(cells)))
        styles = (f"{_CELL}; text-align: {side}" for side in sides)
        pairs = zip(cells, styles, strict=True)
        return element("tr", *(element(tag, cell, style=style) for cell, style in pairs))

    return element(
        "table",
        element("thead", row("th", titles)),
        element("tbody", *(row("td", cells) for cells in rows)),
        style="border-collapse: collapse; color: inherit",
    )


def paragraph(*content: Content) -> Element:
    """Return a paragraph."""
    return element("p", *content)


def strong(text: str) -> Element:
    """Return text in bold."""
    return element("strong", text)


def lines(items: Iterable[str]) -> Element:
    """Return a list of lines."""
    return element("ul", *(element("li", item) for item in items))

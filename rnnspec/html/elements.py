"""Elements of HTML, whose text is escaped where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

from rnnspec.errors import printable

Content = Element | str

_CELL = "padding: 0.2em 0.8em; border-bottom: 1px solid currentColor; white-space: nowrap"
_ALIGN = {True: f"{_CELL}; text-align: left", False: f"{_CELL}; text-align: right"}


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """Return an element; control characters in its text are shown as escapes."""
    made = Element(tag, attributes)
    for each in content:
        if isinstance(each, Element):
            made.append(each)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + printable(each)
        else:
            made.text = (made.text or "") + printable(each)
    return made


def rendered(root: Element) -> str:
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
    """Return a table in the colours of the page around it; ``left`` has the columns of words."""
    head = element("tr", *_cells("th", titles, left))
    body = [element("tr", *_cells("td", row, left)) for row in rows]
    return element(
        "table",
        element("thead", head),
        element("tbody", *body),
        style="border-collapse: collapse; color: inherit",
    )


def _cells(tag: str, cells: Sequence[Content], left: frozenset[int]) -> list[Element]:
    return [element(tag, cell, style=_ALIGN[column in left]) for column, cell in enumerate(cells)]


def paragraph(*content: Content) -> Element:
    """Return a paragraph."""
    return element("p", *content)


def strong(text: str) -> Element:
    """Return text in bold."""
    return element("strong", text)


def lines(items: Iterable[str]) -> Element:
    """Return a list of lines."""
    return element("ul", *(element("li", item) for item in items))

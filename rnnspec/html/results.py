"""Each result as a fragment of HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from rnnspec.comparison.report import ParityReport
from rnnspec.diff import Diff
from rnnspec.html import networks, parity
from rnnspec.html.elements import element, rendered
from rnnspec.importing.live import Model
from rnnspec.spec.models import Spec
from rnnspec.summaries import Summary

Result = Spec | Model | Summary | ParityReport | Diff


def fragment(result: Result) -> str:
    """Return a result in the colours of the page around it: no background, no names, no script."""
    return rendered(element("div", *_elements(result)))


def _elements(result: Result) -> Iterable[Element]:
    match result:
        case Spec():
            return networks.spec(result)
        case Model():
            return networks.model(result)
        case Summary():
            return networks.summary(result)
        case ParityReport():
            return parity.report(result)
        case Diff():
            return networks.diff(result)

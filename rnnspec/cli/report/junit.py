"""JUnit XML for CI servers, with one test case per file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from rnnspec.cli.report.results import Checked, counted, more, summary
from rnnspec.cli.terminal.guard import print_xml
from rnnspec.errors import printable, render_problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def show(results: Sequence[Checked], tool: str) -> None:
    """Print the document in ASCII, which is valid in every encoding of standard output."""
    counts = {
        "tests": len(results),
        "failures": sum(_fails(each) for each in results),
        "errors": sum(each.state == "unreadable" for each in results),
        "skipped": sum(each.state == "foreign" for each in results),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", {"name": "rnnspec", **numbers})
    suite = ET.SubElement(root, "testsuite", {"name": f"rnnspec {tool}", **numbers})
    for result in results:
        _add_case(suite, result, tool)
    # After the test cases, as the schema of the format requires.
    ET.SubElement(suite, "system-out").text = summary(results, tool)
    ET.indent(root)
    print_xml(ET.tostring(root, encoding="us-ascii", xml_declaration=True).decode("ascii"))


def _fails(result: Checked) -> bool:
    return result.state == "checked" and result.exit_code != 0


def _add_case(suite: ET.Element, result: Checked, tool: str) -> None:
    # All characters that XML forbids are unprintable, so printable() escapes them.
    path = printable(result.path)
    case = ET.SubElement(suite, "testcase", name=path, classname=f"rnnspec.{tool}", file=path)
    text = "\n".join([*map(render_problem, result.shown), *([more(result)] * bool(result.omitted))])
    match result.state:
        case "unreadable":
            ET.SubElement(case, "error", message=printable(result.reason), type="unreadable")
        case "foreign":
            ET.SubElement(case, "skipped", message="not a spec")
        case "checked" if _fails(result):
            message = counted(result.problems)
            ET.SubElement(case, "failure", message=message, type=_type(result)).text = text
        # Notes do not fail a test case, but must not be lost.
        case "checked":
            if text:
                ET.SubElement(case, "system-out").text = text


def _type(result: Checked) -> str:
    return "error" if result.wrong else "warning"

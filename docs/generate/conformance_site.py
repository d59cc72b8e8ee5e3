"""The pages of conformance on the site: every result, the cases, and a page for each tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from shlex import join
from types import ModuleType

from docs.generate.conformance import (
    FOLDER,
    NOT_FOUND,
    Failure,
    Note,
    causes,
    explanation,
    filling,
    note_parts,
    read_all_results,
    read_failures,
    read_notes,
)
from docs.generate.examples import ROOT
from docs.generate.markdown import UNSEARCHED, fence
from docs.generate.repository import address
from rnnspec.errors import listed
from rnnspec_conformance.cases import (
    attention,
    calls,
    cells,
    encoding,
    numbers,
    padding,
    recurrent,
    stack,
)
from rnnspec_conformance.report import badge
from rnnspec_conformance.results import STATES, TITLES, Cell, Results, State
from rnnspec_conformance.scenario import Scenario
from rnnspec_conformance.tools import TOOLS

_SUBJECTS: dict[str, tuple[ModuleType, str, str]] = {
    "layers": (recurrent, "Recurrent layers", "differences.md"),
    "calls": (calls, "Lengths, batches and states", "concepts/state.md"),
    "padding": (padding, "Padding", "concepts/masks.md"),
    "stack": (stack, "Other layers", "concepts/convolutions.md"),
    "numbers": (numbers, "Numbers", "concepts/equality.md"),
    "cells": (cells, "Cells by equations", "concepts/cells.md"),
    "attention": (attention, "Attention to another sequence", "concepts/attention.md"),
    "encoding": (encoding, "How an ONNX file is written", "guides/onnx.md"),
}
"""By anchor: the cases of a subject, its title, and the page about it."""
_MARKS: dict[State, str] = {
    "equal": "✓",
    "absent": "–",
    "refused": "R",
    "crashed": "C",
    "wrong": "X",
}
_FRAMEWORKS = {"onnx": "ONNX files", "keras": "Keras", "torch": "PyTorch", "jax": "JAX"}
_MOST_CASES = 16
_MOST_OTHERS = 4


def conformance_pages() -> dict[str, str | bytes]:
    """Return the pages of all results, with a badge for each tool."""
    results, failures = read_all_results(), read_failures()
    notes = read_notes()
    return {
        "conformance/index.md": matrix_page(results, failures),
        "conformance/cases.md": case_page(results),
        **{
            f"conformance/{name}.md": tool_page(results, name, failures, notes)
            for name in results.tools
        },
        **{f"conformance/{name}.svg": badge(results, name) for name in results.tools},
    }


_ABOUT = """---
hide: [navigation, toc]
---

# Every tool and every case

A column for each tool, a row for each [case](cases.md). A mark leads to its cause, the name of a
tool to its page.

"""
_FILTER = """
<form class="filter" hidden>
<label><input type="checkbox" name="wrong"> only what is wrong</label>
<label>Models of <select name="framework">
<option value="">all frameworks</option>{options}</select></label>
<output></output>
</form>
"""


def matrix_page(results: Results, failures: Sequence[Failure]) -> str:
    """Return the page with the table of all results."""
    options = "".join(
        f'<option value="{form}">{_FRAMEWORKS[form]}</option>' for form in _FRAMEWORKS
    )
    legend = " ".join(f"{_mark(state)} {TITLES[state]}" for state in STATES)
    filled = {name: filling(results, name, failures) for name in results.tools}
    heads = "".join(_head(results, name, cause) for name, cause in filled.items())
    bodies = "\n".join(_rows(results, failures, anchor, filled) for anchor in _SUBJECTS)
    line = '<span class="filled refused">&nbsp;</span> One cause of more than half of a column.'
    return (
        f'{_ABOUT}<p class="legend">{legend} {line}</p>\n'
        f"{_FILTER.format(options=options)}\n"
        '<div class="matrix" tabindex="0" role="group" aria-label="Results">\n'
        f'<table class="results">\n<thead><tr><th scope="col">case</th>{heads}</tr></thead>\n'
        f"{bodies}\n</table>\n</div>\n"
    )


def _head(results: Results, name: str, cause: Failure | None) -> str:
    label = f"<small>{escape(cause.label)}</small>" if cause else ""
    kind = ' class="first"' if _begins_group(results, name) else ""
    return (
        f'<th scope="col" data-framework="{TOOLS[name].format}"{kind}>'
        f'<a href="{name}.html" title="{escape(str(results.tools[name]))}">'
        f"{escape(TOOLS[name].title)}</a>{label}</th>"
    )


def _begins_group(results: Results, name: str) -> bool:
    group = TOOLS[name].group
    return name == next(tool for tool in results.tools if TOOLS[tool].group == group)


def _rows(
    results: Results,
    failures: Sequence[Failure],
    subject: str,
    filled: Mapping[str, Failure | None],
) -> str:
    module, title, _ = _SUBJECTS[subject]
    head = f'<th scope="rowgroup">{title}</th><td colspan="{len(filled)}"></td>'
    rows = [f'<tr class="subject">{head}</tr>']
    for case in module.CASES:
        row = results.cells[case.name]
        cells = "".join(
            _cell(row.get(name), explanation(case.name, name, failures), name, cause)
            for name, cause in filled.items()
        )
        head = f'<a href="cases.html#{case.name}" title="{escape(case.fact)}">{case.name}</a>'
        rows.append(f'<tr><th scope="row">{head}</th>{cells}</tr>')
    lines = "\n".join(rows)
    return f"<tbody>\n{lines}\n</tbody>"


def _cell(cell: Cell | None, cause: Failure | None, tool: str, filling: Failure | None) -> str:
    if cell is None:
        return "<td></td>"
    mark = _MARKS[cell.state]
    if not cell.is_failure or cause is None:
        return f'<td class="{cell.state}">{mark}</td>'
    kind = f"filled {cell.state}" if cause == filling else cell.state
    # In references, because Markdown reads backticks and brackets in attributes, too.
    details = "".join(
        one if one.isalnum() or one in " ,.:-" else f"&#{ord(one)};" for one in str(cell)
    )
    link = f'<a href="{tool}.html#{cause.anchor}" title="{details}">{mark}</a>'
    return f'<td class="{kind}">{link}</td>'


def tool_page(
    results: Results, name: str, failures: Sequence[Failure], notes: Sequence[Note]
) -> str:
    """Return the page of a tool: what is wrong, from which causes, and what to do about each."""
    run, tool = results.tools[name], TOOLS[name]
    row = {case: cells[name] for case, cells in results.cells.items() if name in cells}
    parts = [f"# {tool.title}\n", f"{verdict(results, name, failures)}\n"]
    version = f"{run}, run on {run.date}" if str(run) != tool.title else f"Run on {run.date}"
    later = len(results.cells) - len(row)
    newer = f" {later} newer cases were not run yet." if later else ""
    parts.append(f"{version}, {run.system}, on {len(row)} cases.{newer}\n")
    parts += note_parts([name], notes)
    order = causes(results, name, failures)
    outcomes = {
        cause: {
            c: cell
            for c, cell in row.items()
            if cell.is_failure and explanation(c, name, failures) == cause
        }
        for cause in order
    }
    worst = sorted(
        order, key=lambda cause: -max(STATES.index(c.state) for c in outcomes[cause].values())
    )
    for cause in worst:
        parts += _cause_parts(results, cause, name, outcomes[cause])
    equal = [case for case, cell in row.items() if cell.state == "equal"]
    if equal:
        parts.append(
            f"## What is equal {{ {UNSEARCHED} }}\n\n{_case_list(f'{len(equal)} cases', equal)}"
        )
    parts.append(_upkeep(name))
    return "\n".join(parts)


def verdict(results: Results, name: str, failures: Sequence[Failure]) -> str:
    """Return a sentence with the number of results in each state, and of their causes."""
    row = {case: cells[name] for case, cells in results.cells.items() if name in cells}
    counts = []
    for state in reversed(STATES):
        inside = [case for case, cell in row.items() if cell.state == state]
        number = len({explanation(case, name, failures) for case in inside if row[case].is_failure})
        of = f", from {number} cause{'' if number == 1 else 's'}" if number else ""
        if inside:
            counts.append(f"**{len(inside)} {TITLES[state]}**{of}")
    return f"{'; '.join(counts)}."


def _cause_parts(
    results: Results, cause: Failure, tool: str, row: Mapping[str, Cell]
) -> Iterator[str]:
    yield f"## {cause.title} {{ #{cause.anchor} {UNSEARCHED} }}\n"
    for state in reversed(STATES):
        inside = {case: cell for case, cell in row.items() if cell.state == state}
        if inside:
            differences = [cell.difference for cell in inside.values() if cell.difference]
            by = f" by up to {max(differences):.1g}" if state == "wrong" and differences else ""
            count = f"{_mark(state)} {len(inside)} {state}{by}"
            yield _case_list(count, [*inside])
    yield f"{cause.cause.strip()}\n"
    yield f"**What a user meets.** {cause.consequence.strip()}\n"
    others = [
        f"[{run.title}]({name}.md)"
        for name, run in results.tools.items()
        if TOOLS[name].format == TOOLS[tool].format
        and all((cell := results.cells[case].get(name)) and cell.state == "equal" for case in row)
    ]
    # The other columns of the same tool come first.
    own = tool.removesuffix("-fixed").split("-")[0]
    others.sort(key=lambda link: f"]({own}" not in link)
    right = listed(others[:_MOST_OTHERS])
    advice = [
        cause.remedy.strip(),
        f"These are equal in all of these cases: {right}." if right else "",
    ]
    if any(advice):
        yield f"**What to do.** {' '.join(filter(None, advice))}\n"
    links = [link if link == NOT_FOUND else f"<{link}>" for link in cause.upstream]
    yield f"Upstream: {', '.join(links)}\n"
    if cause.script is not None:
        text = (FOLDER / "scripts" / cause.script).read_text(encoding="utf-8")
        yield '<details markdown="1"><summary>A script that shows it, without rnnspec</summary>\n'
        yield fence("py", text)
        yield "</details>\n"


def _case_list(title: str, names: Sequence[str]) -> str:
    """Return links to cases, folded if there are many."""
    links = ", ".join(f"[`{name}`](cases.md#{name})" for name in names)
    if len(names) <= _MOST_CASES:
        return f"{title}: {links}\n"
    return f'<details markdown="1"><summary>{title}</summary>\n\n{links}\n\n</details>\n'


_UPKEEP = """## Is this out of date? {unsearched}

In a clone of {repository}, with `PYTHON` the interpreter of an environment for the tool:

{commands}
What is not explained here, or explained wrongly, goes into `conformance/failures.yaml`; see
[your tool's column](../conformance.md#your-tools-column).

## Badge {unsearched}

![rnnspec conformance]({name}.svg)

With the address of this site in place of `SITE`:

{markdown}"""


def _upkeep(name: str) -> str:
    tool = TOOLS[name]
    install = tool.install or f"PYTHON -m pip install numpy {join(tool.packages)}"
    results = f"--json conformance/results/{name}.json --force"
    run = f"rnnspec conformance run --tool {name} --python PYTHON {results}"
    place = f"SITE/conformance/{name}"
    return _UPKEEP.format(
        unsearched=f"{{ {UNSEARCHED} }}",
        repository=f"[rnnspec]({url})" if (url := address()) else "rnnspec",
        name=name,
        commands=fence("sh", f"{install}\n{run}\npython -m docs.generate.conformance"),
        markdown=fence("markdown", f"[![rnnspec conformance]({place}.svg)]({place}.html)"),
    )


def case_page(results: Results) -> str:
    """Return the page of the cases: what each is about, its spec, and the tools that fail it."""
    parts = ["# The cases\n", f"{len(results.cells)} cases, by subject.\n"]
    for anchor, (module, title, page) in _SUBJECTS.items():
        background, *_ = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
        parts.append(f"## {title} {{ #subject-{anchor} }}\n")
        parts.append(f"See [{background.removeprefix('# ')}](../{page}).\n")
        for case in module.CASES:
            parts += _case_parts(case, results.cells[case.name])
    return "\n".join(parts)


def _case_parts(case: Scenario, row: Mapping[str, Cell]) -> Iterator[str]:
    yield f"### `{case.name}` {{ #{case.name} {UNSEARCHED} }}\n"
    yield f"{case.fact} *If not:* {case.consequence}\n"
    for state in reversed(STATES):
        failed = [name for name, cell in row.items() if cell.is_failure and cell.state == state]
        if failed:
            links = ", ".join(f"[{TOOLS[name].title}]({name}.md)" for name in failed)
            yield f"{_mark(state)} {state}: {links}\n"
    yield f'<details markdown="1"><summary>Its spec</summary>\n\n{fence("yaml", case.text)}'
    yield "</details>\n"


def _mark(state: State) -> str:
    return f'<span class="{state}">{_MARKS[state]}</span>'

"""The JSON that commands print, by example."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from docs.generate.examples import provide
from docs.generate.markdown import fence
from rnnspec.cli.app import app

_HEAD = """# JSON by example

[Reports and JSON](reports.md) describes each member of these documents.
"""
_WRONG = """version: 1
name: tagger
input: {features: 7}
rnn: {type: lstm, unit: 32}
"""
_CALLS = (
    ("summary", "specs/gru_stack_both_ways.yaml", "--json"),
    ("validate", "tagger.yaml", "--json"),
    ("diff", "specs/standard_rnn.yaml", "specs/bidirectional_lstm.yaml", "--json"),
)


def document_page() -> dict[str, str]:
    """Return the page with one document of each command that prints JSON without a framework."""
    return {"reference/json.md": "\n".join([_HEAD, *map(_section, _CALLS)])}


def _section(call: tuple[str, ...]) -> str:
    parts = [f"## {call[0]}\n", fence("sh", " ".join(["rnnspec", *call])), _spec(call)]
    return "\n".join([*parts, fence("json", _run_command(call))])


def _spec(call: tuple[str, ...]) -> str:
    return f"For this spec:\n\n{fence('yaml', _WRONG)}" if "tagger.yaml" in call else ""


def _run_command(call: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        provide(" ".join(call), Path(folder))
        Path("tagger.yaml").write_text(_WRONG, encoding="utf-8")
        return CliRunner().invoke(app, list(call)).stdout

"""The registry and the adapters fit together, and adapters need nothing of rnnspec."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cases import cases

from rnnspec_conformance import run, suite
from rnnspec_conformance.tools import GROUPS, TOOLS, Tool

FOLDER = Path(run.__file__).with_name("adapters")
ADAPTERS = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")}


@cases("tool", TOOLS)
def test_a_tool_has_an_adapter_a_group_and_a_format(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", tool.name)
    assert tool.group in GROUPS
    assert tool.format in suite.formats()
    assert tool.packages or tool.install
    assert {"version", "load"} <= functions(ADAPTERS[tool.adapter])


def test_titles_are_different() -> None:
    assert len({tool.title for tool in TOOLS.values()}) == len(TOOLS)


def test_every_adapter_has_a_tool() -> None:
    used = {"command", *(tool.adapter for tool in TOOLS.values())}
    for name, module in ADAPTERS.items():
        assert (name in used) == ({"version", "load"} <= functions(module)), name


@cases("module", ADAPTERS)
def test_adapters_import_nothing_of_rnnspec(module: ast.Module) -> None:
    for node in ast.walk(module):
        match node:
            case ast.Import():
                modules = [alias.name for alias in node.names]
            case ast.ImportFrom(level=0):
                modules = [node.module or ""]
            case ast.ImportFrom():
                modules = []
                assert node.level == 1
            case _:
                continue
        assert not any(module.split(".")[0] == "rnnspec" for module in modules)


def functions(module: ast.Module) -> set[str]:
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}

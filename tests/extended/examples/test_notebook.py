"""The notebooks in ``examples/`` run from top to bottom, and show results as HTML."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    from nbclient import NotebookClient

    nbformat: Any = importlib.import_module("nbformat")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without results"
    with warnings.catch_warnings(action="ignore"):  # of Jupyter's own
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if output["output_type"] == "execute_result"]
    assert any("<img" in data.get("text/html", "") for data in shown)
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert "Total parameters: " in printed
    assert "class Sentiment(nn.Module)" in printed

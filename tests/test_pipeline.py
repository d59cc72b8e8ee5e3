"""Each stage of the pipeline runs once and passes its result on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import GALLERY, ROOT
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.needs import FILES
from rnnspec.models.building import Output, build_model
from rnnspec.source import execute, render

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def calls(backend: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of calls of each stage."""
    require(backend, SPEC)
    counted: Counter[str] = Counter()

    def counting(owner: Any, name: str) -> Callable[..., Any]:
        stage: Callable[..., Any] = getattr(owner, name)

        def count(*args: Any, **kwargs: Any) -> Any:
            counted[name] += 1
            return stage(*args, **kwargs)

        return count

    for module, name in ((pipeline, "lower"), (render, "render"), (execute, "execute")):
        monkeypatch.setattr(module, name, counting(module, name))
    emitter = get(backend).emitter
    stages = {name: counting(emitter, name) for name in ("arrange", "emit")}
    monkeypatch.setattr(f"{get(backend).package}.emit.EMITTER", replace(emitter, **stages))
    return counted


SPEC = ROOT / "specs" / "addition_seq2seq.yaml"
ONCE = {"lower": 1, "arrange": 1, "emit": 1, "render": 1, "execute": 1}


@pytest.mark.needs(SPEC.read_text("utf-8"))
def test_a_build_runs_each_stage_once(calls: Counter[str], backend: str) -> None:
    rnnspec.build(SPEC, backend, seed=1)
    assert calls == ONCE


@pytest.mark.needs(FILES, SPEC.read_text("utf-8"))
def test_so_does_a_build_that_is_saved(calls: Counter[str], backend: str, tmp_path: Path) -> None:
    require(backend, FILES, GALLERY[0])
    calls.clear()
    program = pipeline.read(GALLERY[0])
    output = tmp_path / f"net{get(backend).suffix}"
    build_model(program, get(backend), output=Output(output))
    assert list(tmp_path.iterdir())
    assert calls == ONCE

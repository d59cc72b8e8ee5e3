from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def specs_folder() -> Path:
    """The folder of the gallery."""
    return Path(__file__).parents[2] / "specs"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one PyTorch thread: in small networks, further threads mostly wait."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

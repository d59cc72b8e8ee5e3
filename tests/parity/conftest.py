from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def specs_folder() -> Path:
    """Give the folder of the gallery."""
    return Path(__file__).parents[2] / "specs"

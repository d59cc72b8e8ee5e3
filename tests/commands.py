"""Calls of the command in this process, where frameworks are imported already."""

from __future__ import annotations

import sys

import pytest

from rnnspec import cli


def call(*words: object) -> None:
    """Run ``rnnspec`` with these words, which must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["rnnspec", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            cli.main()
    assert done.value.code == 0

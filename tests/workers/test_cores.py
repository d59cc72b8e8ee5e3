"""Frameworks compute on one thread, unless the user sets another number."""

from __future__ import annotations

import os

import pytest

from rnnspec.workers.cores import single_threaded


def test_the_limits_of_the_user_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("NPROC", raising=False)
    before = dict(os.environ)
    with single_threaded():
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["NPROC"] == "1"
    assert dict(os.environ) == before

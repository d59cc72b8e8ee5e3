"""How messages say that rnnspec is installed, before and after the first release."""

from __future__ import annotations

import pytest

from rnnspec import version


def test_what_is_missing_is_installed_from_a_clone_and_then_from_pypi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> tuple[str, ...]:
        return (
            version.place_commands(version.install_command("torch")),
            version.ways_to_install("torch", "'torch>=2.6'"),
            version.install_package("rnnspec-random", "random_specs"),
        )

    monkeypatch.setattr(version, "RELEASED", False)
    assert told() == (
        "pip install '.[torch]' in a clone of rnnspec",
        "pip install '.[torch]' in a clone of rnnspec, or pip install 'torch>=2.6'",
        "in a clone of rnnspec, pip install ./random_specs",
    )
    monkeypatch.setattr(version, "RELEASED", True)
    command = "pip install 'rnnspec[torch]'"
    assert told() == (command, command, f"pip install rnnspec-random=={version.__version__}")

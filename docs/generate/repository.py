"""The addresses of the repository and of its site, as pyproject.toml has them."""

from __future__ import annotations

import tomllib

from docs.generate.examples import ROOT
from rnnspec import version


def address() -> str | None:
    """Return the URL of the repository, or None before the first release, which gives it one."""
    if not version.RELEASED:
        return None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Source"])


def site_address(url: str) -> str:
    """Return the URL of the site on GitHub Pages, given that of the repository."""
    owner, name = url.split("/")[-2:]
    return f"https://{owner}.github.io/{name}/"

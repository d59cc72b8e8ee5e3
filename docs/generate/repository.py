"""The address of the repository, as pyproject.toml has it; it has no owner yet."""

from __future__ import annotations

import tomllib

from docs.generate.examples import ROOT

_PLACEHOLDER = "OWNER/rnnspec"


def address() -> str:
    """Return the URL of the repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Source"])


def site_address(url: str) -> str:
    """Return the URL of the site on GitHub Pages, given that of the repository."""
    owner, name = url.split("/")[-2:]
    return f"https://{owner}.github.io/{name}/"


def has_owner(url: str) -> bool:
    """True if the URL is that of a repository that exists."""
    return not url.endswith(f"/{_PLACEHOLDER}")


def name_owner(page: str, url: str) -> str:
    """Return a page with the owner of the repository in place of OWNER."""
    return page.replace(_PLACEHOLDER, "/".join(url.split("/")[-2:]))

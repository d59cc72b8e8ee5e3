"""The pages about the project that are files of its root: how to cite it, its licence."""

from __future__ import annotations

from docs.generate.examples import ROOT
from docs.generate.markdown import fence

_CITING = """# Citing

Please cite the version that you used. `CITATION.cff` has what a reference needs, in the
[Citation File Format](https://citation-file-format.github.io), which reference managers import:
"""
_LICENCE = """# Licence

The licence of rnnspec:
"""


def project_pages() -> dict[str, str]:
    """Return the pages."""
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    return {
        "project/citing.md": f"{_CITING}\n{fence('yaml', citation)}",
        "project/licence.md": f"{_LICENCE}\n{fence('text', licence)}",
    }

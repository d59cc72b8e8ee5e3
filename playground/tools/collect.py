"""Write what the page is made of: Python packages as source, their licences, and the examples.

Usage: collect.py WHEELS PARTS, with a folder of wheels and one to write to.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import rnnspec

ROOT = Path(__file__).parents[2]
DATA = (".py", ".md", ".j2", ".toml", ".yaml")
# For another machine, type checkers or installers, or the pydantic of old.
LEFT_OUT = re.compile(
    r"(linux-gnu\.so|\.pyi|\.c|/RECORD|/WHEEL|/METADATA|\.cdx\.json|\.cyclonedx\.json)$"
    r"|^pydantic/(v1/|mypy)|^_yaml/"
)
# Packages above those that the playground uses, and readers of files of other tools.
UNUSED = re.compile(
    r"rnnspec\.(cli|comparison|convert|diff|html|importing|vectors|weights)\b"
    r"|rnnspec\.backends\.\w+\."
)


def from_wheels(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the files in wheels."""
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as opened:
            for name in opened.namelist():
                if not name.endswith("/") and not LEFT_OUT.search(name):
                    yield name, opened.read(name)


def from_checkout() -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the files of rnnspec, as in its wheel, and of the page."""
    # The wheel of rnnspec has the templates and the cells inside the package.
    own = "playground/python/rnnspec_playground"
    beside = (("templates", "rnnspec/templates"), ("specs/cells", "rnnspec/zoo"))
    places = (("rnnspec",) * 2, *beside, (own, "rnnspec_playground"))
    for folder, inside in places:
        for path in sorted((ROOT / folder).rglob("*")):
            name = Path(inside, path.relative_to(ROOT / folder))
            if path.suffix in DATA and not UNUSED.match(".".join(name.parent.parts)):
                yield name.as_posix(), path.read_bytes()


def licences(files: dict[str, bytes]) -> Iterator[str]:
    """Yield the licence of each distribution, below its name."""
    for name, content in sorted(files.items()):
        if "/licenses/" in name:
            distribution, _, _ = name.partition("-")
            yield f"{distribution}\n\n{content.decode().strip()}\n"


def examples() -> Iterator[dict[str, str]]:
    """Yield the specs that the page offers: what ``rnnspec init`` writes, and the gallery."""
    for group, folder in (("Templates", "templates/init"), ("Gallery", "specs")):
        for path in sorted((ROOT / folder).glob("*.yaml")):
            spec = rnnspec.load(path)
            described = {"name": spec.name, "description": spec.description}
            yield {"group": group, **described, "text": path.read_text("utf-8")}


def main(wheels: Path, parts: Path) -> None:
    """Write the archive, the licences and the examples."""
    third_party = dict(from_wheels(wheels))
    with zipfile.ZipFile(parts / "packages.zip", "w") as archive:
        for name, content in sorted({**third_party, **dict(from_checkout())}.items()):
            archive.writestr(name, content)
    (parts / "licences.txt").write_text("\n".join(licences(third_party)), "utf-8")
    (parts / "examples.json").write_text(json.dumps(list(examples())), "utf-8")


main(*map(Path, sys.argv[1:]))

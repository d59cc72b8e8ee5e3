"""Write the pages of the site and its configuration into build/, for ``make docs``."""

from __future__ import annotations

import shutil
from pathlib import Path

from docs.generate.conformance_site import conformance_pages
from docs.generate.examples import ROOT
from docs.generate.gallery import gallery_pages
from docs.generate.house import house_pictures
from docs.generate.navigation import configuration
from docs.generate.playground import link_to_site
from docs.generate.project import project_pages
from docs.generate.reference.codes import code_pages
from docs.generate.reference.commands import command_page
from docs.generate.reference.documents import document_page
from docs.generate.reference.exits import exit_page
from docs.generate.reference.language import language_page
from docs.generate.reference.library import library_page
from docs.generate.repository import address
from docs.generate.written import written_pages

_BUILD = ROOT / "build"
_PLAYGROUND = _BUILD / "playground"


def pages() -> dict[str, str | bytes]:
    """Return every file of the site by its place, without the playground."""
    return {
        **written_pages(),
        **house_pictures(),
        **conformance_pages(),
        **gallery_pages(ROOT / "specs"),
        **language_page(),
        **command_page(),
        **document_page(),
        **code_pages(),
        **exit_page(),
        **library_page(),
        **project_pages(),
    }


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Write files into an empty folder."""
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def main() -> None:
    """Write build/pages and build/mkdocs.yml."""
    folder = _BUILD / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, pages())
    if _PLAYGROUND.is_dir():
        shutil.copytree(_PLAYGROUND, folder / "playground")
        link_to_site(folder / "playground" / "index.html")
        home = folder / "index.md"
        home.write_text(home.read_text().replace("guides/playground.html", "playground/index.html"))
    else:
        print("left out: the playground, which make playground builds")
    places = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = configuration(text, places, address())
    (_BUILD / "mkdocs.yml").write_text(config, encoding="utf-8")


if __name__ == "__main__":
    main()

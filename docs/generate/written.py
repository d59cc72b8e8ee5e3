"""Written pages as they go into the site, with their links followed, and their pictures."""

from __future__ import annotations

import contextlib
import io
import posixpath
import re
import tempfile
from pathlib import Path

from docs.generate.examples import ROOT, Command, File, examples, provide
from docs.generate.markdown import UNSEARCHED, dark, figure
from docs.generate.reference.codes import PLACES
from rnnspec.cli.app import app

ELSEWHERE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "examples/notebook.ipynb": "examples/notebook.ipynb",
    "examples/streaming/README.md": "guides/streaming.md",
    "examples/training/README.md": "guides/training.md",
    "examples/translate/README.md": "guides/translate.md",
    "examples/translate/attention.png": "guides/attention.png",
    **{
        name: name
        for name in (
            "examples/translate/date_translator.yaml",
            "examples/translate/generate.c",
            "examples/translate/notations.py",
        )
    },
}
"""Files outside docs/ that the site has too, by their place in the repository."""

_HEADS = {
    "docs/index.md": "---\ntitle: One spec, every framework\nhide: [navigation]\n---\n\n",
}
"""The front matter of pages, for the theme."""

GENERATED = {
    "conformance/results": "conformance/index.md",
    "conformance/rnnspec_conformance/cases": "conformance/cases.md",
    "rnnspec/__init__.py": "reference/api.md",
    "rnnspec/errors/__init__.py": "reference/exit-codes.md",
    "rnnspec/pages": "reference/errors.md",
    "specs": "gallery/index.md",
}
"""Files and folders that the site shows on a page of its own."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)|(?<=href=\")(?!\w+:|#)([^\"#]+)")
_PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^)]+\.svg)\)$", re.MULTILINE)


def written_pages() -> dict[str, str | bytes]:
    """Return every file of the site that a person wrote, with their pictures.

    Raises:
        ValueError: a link leads out of the site.
    """
    pages: dict[str, str | bytes] = {}
    for path in _sources():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix != ".md":
            pages[_place(name)] = path.read_bytes()
            continue
        text = path.read_text(encoding="utf-8")
        page = _HEADS.get(name, "") + relink(text, name)
        if name == "CHANGELOG.md":
            page = re.sub(r"^(##+ .*)$", rf"\1 {{ {UNSEARCHED} }}", page, flags=re.MULTILINE)
        for theme in ("colour", "dark"):
            for picture, content in draw_pictures(path, theme).items():
                place = _place(picture.relative_to(ROOT).as_posix())
                pages[place if theme == "colour" else dark(place)] = content
        pages[_place(name)] = _PICTURE.sub(lambda match: figure(match[1], match[2]), page)
    return pages


def _sources() -> list[Path]:
    written = (ROOT / "docs").rglob("*")
    files = [path for path in written if path.is_file() and path.suffix not in {".py", ".pyc"}]
    return sorted([*files, *(ROOT / name for name in ELSEWHERE)])


def _place(name: str) -> str:
    """Return the place in the site of a file or folder of the repository, empty if it has none."""
    match name.split("/"):
        case ["docs", *_]:
            return name.removeprefix("docs/")
        case ["rnnspec", "pages", page]:
            return f"{PLACES[page[0]]}#{page.removesuffix('.md').lower()}"
        case ["conformance", "results", tool]:
            return f"conformance/{tool.removesuffix('.json')}.md"
        case ["specs", spec]:
            return f"gallery/{spec.removesuffix('.yaml')}.md"
        case _:
            return ELSEWHERE.get(name) or GENERATED.get(name, "")


def relink(text: str, name: str) -> str:
    """Return a page whose relative links lead to places in the site."""
    folder, start = posixpath.dirname(name), posixpath.dirname(_place(name)) or "."

    def follow(link: re.Match[str]) -> str:
        place = _place(posixpath.normpath(posixpath.join(folder, link[0])))
        if not place:
            raise ValueError(f"{name}: expected a link to a page of the site, received {link[0]!r}")
        # In HTML, links are not translated.
        return posixpath.relpath(place if link[1] else place.replace(".md", ".html"), start)

    return _LINK.sub(follow, text)


def draw_pictures(page: Path, theme: str = "auto") -> dict[Path, bytes]:
    """Return the pictures that the commands of a page draw, by the file beside the page.

    A command that names no theme gets ``theme``; by default, pictures follow the reader's scheme.
    """
    text = page.read_text(encoding="utf-8")
    drawn: dict[Path, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        provide(text, Path(folder))
        for example in examples(text):
            match example:
                case File(name=name, text=content):
                    Path(name).parent.mkdir(parents=True, exist_ok=True)
                    Path(name).write_text(content, encoding="utf-8")
                case Command(arguments=("draw", *_, "-o", target)) if target.endswith(".svg"):
                    Path(target).parent.mkdir(parents=True, exist_ok=True)
                    themed = [] if "--theme" in example.arguments else ["--theme", theme]
                    with contextlib.redirect_stdout(io.StringIO()):
                        app([*example.arguments, *themed, "--force"], standalone_mode=False)
                    drawn[page.parent / target] = Path(target).read_bytes()
                case _:
                    pass
    return drawn


def main() -> None:
    """Draw the pictures of all pages again."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for path, picture in draw_pictures(page).items():
            path.write_bytes(picture)


if __name__ == "__main__":
    main()

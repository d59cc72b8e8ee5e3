"""Written pages as they go into the site: links followed, pictures drawn."""

from __future__ import annotations

import contextlib
import io
import posixpath
import re
import tempfile
from pathlib import Path

from docs.generate.examples import ROOT, Command, File, examples, provide
from docs.generate.repository import address, owned
from rnnspec.cli.app import app

ELSEWHERE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "examples/notebook.ipynb": "examples/notebook.ipynb",
    "examples/streaming/README.md": "guides/streaming.md",
    "examples/training/README.md": "guides/training.md",
}
"""Files outside docs/ that the site has too, by their place in the repository."""

_WIDE = frozenset({"docs/differences.md"})
"""Pages with a wide table, which takes the place of the list of headings."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
_PICTURE = re.compile(r"^(!\[[^\]]*\]\(([^)]+)\))$", re.MULTILINE)


def written_pages() -> dict[str, str | bytes]:
    """Return every file of the site that a person wrote, and the pictures that pages draw.

    Raises:
        ValueError: a link leads out of the site, or two pages draw pictures of the same name.
    """
    sources = {path.relative_to(ROOT).as_posix(): path for path in _sources()}
    found: dict[str, str | bytes] = {}
    for name, path in sources.items():
        if path.suffix != ".md":
            found[_place(name)] = path.read_bytes()
            continue
        text = path.read_text(encoding="utf-8")
        for picture, content in pictures(text).items():
            target = posixpath.join(posixpath.dirname(_place(name)), picture)
            if target in found:
                raise ValueError(f"{name}: another page has a picture {target}")
            found[target] = content
        head = "---\nhide: [toc]\n---\n\n" if name in _WIDE else ""
        page = head + owned(relinked(text, name), address())
        found[_place(name)] = _PICTURE.sub(r"[\1](\2)", page)
    return found


def _sources() -> list[Path]:
    written = (ROOT / "docs").rglob("*")
    kept = [each for each in written if each.is_file() and each.suffix not in {".py", ".pyc"}]
    return sorted([*kept, *(ROOT / name for name in ELSEWHERE)])


def _place(name: str) -> str:
    """Return the place in the site of a file of the repository."""
    return ELSEWHERE.get(name, name.removeprefix("docs/"))


def relinked(text: str, name: str) -> str:
    """Return a page whose relative links lead to places in the site."""
    folder, start = posixpath.dirname(name), posixpath.dirname(_place(name)) or "."

    def follow(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        if target not in ELSEWHERE and not target.startswith("docs/"):
            raise ValueError(f"{name}: expected a link to a page of the site, received {link[1]!r}")
        return posixpath.relpath(_place(target), start)

    return _LINK.sub(follow, text)


def pictures(page: str) -> dict[str, bytes]:
    """Return the pictures that the commands of a page draw, by file name."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        provide(page, Path(folder))
        drawn: dict[str, bytes] = {}
        for each in examples(page):
            match each:
                case File(name=name, text=text):
                    Path(name).parent.mkdir(parents=True, exist_ok=True)
                    Path(name).write_text(text, encoding="utf-8")
                case Command(arguments=("draw", *_, "-o", target)) if target.endswith(".svg"):
                    _run(each.arguments)
                    drawn[target] = Path(target).read_bytes()
                case _:
                    pass
        return drawn


def _run(arguments: tuple[str, ...]) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app([*arguments, "--force"], standalone_mode=False)

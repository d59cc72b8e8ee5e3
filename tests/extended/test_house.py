"""The pages about the packages are those of the code: the house, the walk, and what to add."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from docs.generate import house, walk
from docs.generate.house import decision, limits, packages, storeys
from rnnspec.drawing.writers.svg import svg

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "project").glob("adding-*.md"))
_PATH = re.compile(r"`((?:rnnspec|tests|docs|specs|templates|random_specs)/[\w./<>-]*)`")


def rooms() -> set[str]:
    """Return the packages and modules of rnnspec as they are imported."""
    inside = (ROOT / "rnnspec").iterdir()
    folders = {
        path.name for path in (ROOT / "rnnspec").iterdir() if (path / "__init__.py").is_file()
    }
    modules = {path.stem for path in inside if path.suffix == ".py"}
    return folders | modules - {"__init__", "__main__"}


def git(*arguments: str) -> str:
    """Return the output of git, empty if this is no repository."""
    command = ("git", *arguments)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_every_package_and_module_is_a_room_of_the_house() -> None:
    listed = [room for storey in storeys() for room in storey]
    assert sorted(listed) == sorted(rooms())
    grouped = [room for _, group in house.GROUPS.values() for room in group]
    assert sorted(grouped) == sorted(rooms())
    assert house.PRODUCTS.keys() <= rooms()


def test_the_picture_has_every_room_in_its_storey() -> None:
    picture = (ROOT / "docs/project/house.svg").read_text(encoding="utf-8")
    assert picture == svg(house.scene("auto")), "run python -m docs.generate.house"
    found = re.findall(r'<g data-room="(\w+)"><rect [^>]*?y="([-\d.]+)"', picture)
    heights = [[float(y) for room, y in found if room in storey] for storey in storeys()]
    assert [len(row) for row in heights] == [len(storey) for storey in storeys()]
    tops = [row[0] for row in heights]
    assert all(len({*row}) == 1 for row in heights)
    assert tops == sorted(tops)


def test_every_package_says_its_decision_in_a_sentence() -> None:
    found = sorted(
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for path in (ROOT / "rnnspec").rglob("__init__.py")
        if path.parent != ROOT / "rnnspec"
    )
    assert found == sorted(path for path in packages() if path.endswith("/"))
    for path in (*packages(), "rnnspec/"):
        sentence = decision(path)
        assert re.fullmatch(r"[A-Z][^\n]+[^.\n]\.", sentence), path
        assert not re.search(r"\. [A-Z]", sentence), f"{path}: expected one sentence"


def test_the_table_of_folders_is_made_from_the_code() -> None:
    page = (ROOT / "docs/project/house.md").read_text(encoding="utf-8")
    assert page == house.page(), "run python -m docs.generate.house"
    for path in packages():
        assert f"| `{path}` |" in page
        assert f"| {decision(path).replace('``', '`')} |" in page
    assert limits("rnnspec/errors/") == "no other room"
    assert "numpy" in limits("rnnspec/ir/")


def test_the_walk_is_what_its_calls_return() -> None:
    page = (ROOT / "docs/project/walk.md").read_text(encoding="utf-8")
    assert page == walk.page(), "run python -m docs.generate.walk"
    assert len(re.findall(r"^## \d+\. ", page, re.MULTILINE)) == 10
    # What a call takes, one before it has returned.
    assert "`Spec` → `Network`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_files_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(_PATH.findall(re.sub(r"(?ms)^```.*?^```$", "", text)))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_a_change_of_the_history(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    diffs = re.findall(r"^```diff\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    titles = [" ".join(title.split()) for title in re.findall(r"(?ms)^The change \*(.+?)\*", text)]
    assert bool(diffs) == bool(titles)
    for title in titles:
        found = git("log", "-1", "--format=%H", "--fixed-strings", "--grep", title).strip()
        if not found:
            pytest.skip("the history is not here")
        lines = set(map(str.rstrip, git("show", "--format=%s", found).splitlines()))
        assert title in lines
        for line in "".join(diffs).splitlines():
            name = line.strip("@ ")
            assert line == "..." or line in lines or f"+++ b/{name}" in lines, line


def test_the_way_in_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 150

"""The scripts that a release runs."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from rnnspec.version import RELEASED, __version__

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / ".ci"
BESIDE = ("conformance", "random_specs")
READ = (
    *("README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "rnnspec/version.py"),
    "docs/guides/editors-and-ci.md",
    *(f"{place}/{name}" for place in BESIDE for name in ("README.md", "pyproject.toml")),
)
STAGES = {
    "": "Development Status :: 5 - Production/Stable",
    **dict.fromkeys(BESIDE, "Development Status :: 4 - Beta"),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs sh")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what the scripts read."""
    shutil.copytree(SCRIPTS, tmp_path / ".ci")
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(*command: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_every_place_has_the_same_version() -> None:
    pins, sources = [], []
    for place in ("", *BESIDE):
        text = (ROOT / place / "pyproject.toml").read_text(encoding="utf-8")
        metadata = tomllib.loads(text)
        project = metadata["project"]
        file = Path(ROOT, place, metadata["tool"]["hatch"]["version"]["path"])
        assert file.resolve() == ROOT / "rnnspec" / "version.py"
        pins += [each for each in project["dependencies"] if each.startswith("rnnspec")]
        sources.append(project["urls"]["Source"])
        stages = [each for each in project["classifiers"] if each.startswith("Development Status")]
        assert stages == [STAGES[place]]
    assert pins == [f"rnnspec=={__version__}"] * len(BESIDE)
    assert len(set(sources)) == 1
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = changelog.split("\n## ")[1].splitlines()[0]
    assert newest.partition(" - ")[0] == __version__
    assert RELEASED or newest.endswith(" - unreleased")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of every file that is tracked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def contents(tree: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def release(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, tree / ".ci" / "release", *arguments, "--no-build"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def released(tree: Path) -> Path:
    """Return that copy as it is after the first release."""
    if not RELEASED:
        assert release(tree, "someone").returncode == 0
    return tree


def ready(tree: Path, tag: str) -> tuple[int, list[str]]:
    return run(sys.executable, tree / ".ci" / "ready", tag)


def test_what_a_tag_needs_is_named(released: Path) -> None:
    for name, old, new in (
        ("CITATION.cff", f"version: {__version__}", "version: 0.0.1"),
        ("CITATION.cff", "date-released: ", "date-released: 2"),
        ("CHANGELOG.md", f"## {__version__} - ", "## 0.0.1 - "),
        ("random_specs/pyproject.toml", f"rnnspec=={__version__}", "rnnspec==0.0.1"),
        ("conformance/pyproject.toml", '/rnnspec"', '/another"'),
        ("README.md", "github.io/rnnspec/playground", "github.io/another/playground"),
        ("docs/guides/editors-and-ci.md", "rev: ", "rev: v0.0.1  # "),
    ):
        text = (released / name).read_text(encoding="utf-8")
        assert old in text
        (released / name).write_text(text.replace(old, new), encoding="utf-8")
        code, missing = ready(released, f"v{__version__}")
        assert code == 1
        assert len(missing) == 1, missing
        assert name in missing[0]
        (released / name).write_text(text, encoding="utf-8")
    assert ready(released, f"v{__version__}") == (0, [f"v{__version__} can be released"])
    assert ready(released, "v9.9.9") == (1, [f"the tag is v9.9.9, the version {__version__}"])


BEFORE = pytest.mark.skipif(RELEASED, reason="the first release has been made")


@BEFORE
def test_one_command_makes_the_first_release(tree: Path) -> None:
    done = release(tree, "some-one", "2027-01-02")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"v{__version__} can be released\n" in done.stdout
    assert f"git push origin v{__version__}" in done.stdout

    released = contents(tree)
    for path, content in released.items():
        name = path.relative_to(tree).as_posix()
        if not name.startswith((".ci/", "tests/")):
            assert not re.search(rb"\bOWNER(/|\.github)|no release yet", content), name
    assert run(tree / ".ci" / "release-notes", __version__)[0] == 0
    citation = yaml.safe_load((tree / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["date-released"]) == "2027-01-02"
    assert citation["repository-code"] == "https://github.com/some-one/rnnspec"
    facts = runpy.run_path(str(tree / "rnnspec" / "version.py"))
    assert facts["install_command"]("torch") == "pip install 'rnnspec[torch]'"

    again = release(tree, "some-one", "2027-01-03")
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to edit: ")
    other = release(tree, "another")
    assert other.returncode == 1
    assert "names another owner than another" in other.stderr
    assert contents(tree) == released


@BEFORE
def test_a_release_that_misses_a_text_changes_nothing(tree: Path) -> None:
    page = tree / "docs" / "index.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("There is no release yet.", "Soon."), encoding="utf-8")
    before = contents(tree)
    done = release(tree, "someone")
    assert (done.returncode, done.stdout) == (1, "")
    missing, end = done.stderr.splitlines()
    assert missing.startswith("docs/index.md: expected the text 'There is no release yet. In a ")
    assert end.startswith("nothing was changed")
    assert contents(tree) == before


@BEFORE
@pytest.mark.parametrize(
    "arguments", [("OWNER",), ("a/b",), ("-a",), ("a", "2027-02-30"), ("a", "tomorrow"), ()]
)
def test_a_release_needs_an_owner_and_a_date(project: Path, arguments: tuple[str, ...]) -> None:
    done = release(project, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert ".ci/release: error: " in done.stderr
    assert (project / "rnnspec/version.py").read_bytes() == (
        ROOT / "rnnspec/version.py"
    ).read_bytes()


def test_the_page_of_a_release_has_no_relative_links(project: Path) -> None:
    assert run(sys.executable, project / ".ci" / "absolute-links", "v1.2.3")[0] == 0
    text = (project / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    repository = metadata["project"]["urls"]["Source"]
    raw = repository.replace("//github.com/", "//raw.githubusercontent.com/")
    assert f"]({raw}/v1.2.3/docs/pictures/" in text
    assert f"]({repository}/blob/v1.2.3/docs/tutorial/first.md)" in text


def test_the_changelog_says_everything_once() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- .*?(?=\n- |\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 100
    assert sorted(entries) == sorted(set(entries))
    themes = re.findall(r"^### .*$", text.split("\n## ")[1], re.MULTILINE)
    assert len(themes) == len(set(themes)) > 1


def test_the_notes_of_a_release_are_its_section(project: Path) -> None:
    code, notes = run(project / ".ci" / "release-notes", __version__)
    assert code == 0
    assert "### The language" in notes
    assert not any(line.startswith("## ") for line in notes)
    assert run(project / ".ci" / "release-notes", "9.9.9") == (1, [])


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_its_version(path: Path) -> None:
    used = re.findall(r"^ *(?:- )?uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    for each in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_with_a_token_runs_no_dependency(path: Path) -> None:
    """A package of pip or npm that turns hostile must find nothing to sign or publish with."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        commands = [step["run"].split()[0] for step in job["steps"] if "run" in step]
        if "write" in job.get("permissions", {}).values():
            assert set(commands) <= {"gh"}, name
            assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"] == {"persist-credentials": False}, name

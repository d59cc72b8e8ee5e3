"""The scripts that a release runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs.generate.repository import site_address
from rnnspec.version import __version__

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / ".ci"
BESIDE = ("conformance", "random_specs")
READ = (
    *("README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "rnnspec/version.py"),
    *(f"{place}/{name}" for place in BESIDE for name in ("README.md", "pyproject.toml")),
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs sh")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what the scripts read."""
    shutil.copytree(SCRIPTS, tmp_path / ".ci")
    for name in READ:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(*command: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_a_release_is_ready_once_all_names_agree(project: Path) -> None:
    ready = (sys.executable, project / ".ci" / "ready")
    code, missing = run(*ready, "v9.9.9")
    assert code == 1
    assert f"the tag is v9.9.9, the version {__version__}" in missing

    changelog, metadata = project / "CHANGELOG.md", project / "pyproject.toml"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(text.replace("- unreleased", "- 2027-01-02", 1), encoding="utf-8")
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(text.replace("com/OWNER/", "com/someone/"), encoding="utf-8")
    _, missing = run(*ready, f"v{__version__}")
    site = site_address("https://github.com/OWNER/rnnspec")
    assert missing[:3] == [
        f"README.md links to {site}{page}, which is not the site of someone"
        for page in ("", "playground/", "conformance.html")
    ]
    readmes = [f"{place}/README.md" for place in BESIDE]
    places = ["README.md", *readmes, "rnnspec/version.py"]
    assert [place.partition(":")[0] for place in missing[3:]] == places

    for name, old, new in (
        ("README.md", "https://OWNER.", "https://someone."),
        ("README.md", "There is no release yet. ", ""),
        *((readme, "In a clone of rnnspec:", "Install it:") for readme in readmes),
        ("rnnspec/version.py", "in a clone of rnnspec", ""),
    ):
        text = (project / name).read_text(encoding="utf-8")
        (project / name).write_text(text.replace(old, new), encoding="utf-8")
    assert run(*ready, f"v{__version__}") == (0, [f"v{__version__} can be released"])


def test_a_release_from_1_0_on_is_no_alpha(project: Path) -> None:
    version = project / "rnnspec" / "version.py"
    version.write_text('__version__ = "1.0.0"\n', encoding="utf-8")
    _, missing = run(sys.executable, project / ".ci" / "ready", "v1.0.0")
    assert "pyproject.toml says that 1.0.0 is an alpha version" in missing


def test_the_page_of_a_release_has_no_relative_links(project: Path) -> None:
    assert run(sys.executable, project / ".ci" / "absolute-links", "v0.1.0")[0] == 0
    text = (project / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "](https://raw.githubusercontent.com/OWNER/rnnspec/v0.1.0/docs/pictures/" in text
    assert "](https://github.com/OWNER/rnnspec/blob/v0.1.0/docs/tutorial/first.md)" in text


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

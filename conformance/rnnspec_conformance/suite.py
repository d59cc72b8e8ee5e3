"""Suites: folders of cases that any tool can run. See ``texts/README.md``, which each suite has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnspec import files
from rnnspec.errors import UsageError, listed
from rnnspec.errors.arguments import one_of
from rnnspec.version import __version__
from rnnspec_conformance.layout import CASE, INDEX, VERSION, Case, data_set, read, read_index

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array
    from rnnspec_conformance.scenario import Scenario

__all__ = ["formats", "read", "write"]

_TEXTS = Path(__file__).with_name("texts")


def formats() -> list[str]:
    """Return the names of the formats that a suite can have."""
    from rnnspec_conformance.models import formats as known

    return known()


def write(
    folder: Path,
    cases: Sequence[Scenario] | None = None,
    formats: Collection[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Case, ...]:
    """Write a suite, completely or not at all, and return its cases.

    Each model is loaded again from its files, and must compute the outputs of its case.

    Args:
        folder: a folder that does not exist, or is empty. With ``force``, it may be a suite.
        cases: the cases to write, by default all.
        formats: the formats of models to write, by default all.
        force: replace a suite.
        progress: called with the name of each case before it is written.

    Raises:
        UsageError: a format is unknown, or the folder has something in it.
        BackendError: the framework of a format is not installed.
        OutputError: the folder cannot be written.
        ParityError: a model computes something else than the reference; nothing is written.
    """
    from rnnspec_conformance.cases import CASES
    from rnnspec_conformance.models import write_models

    chosen = _known_formats(formats)
    scenarios = CASES if cases is None else cases
    _check_folder(folder, force=force)
    # Resolved now: the folder in which this process is may be one of those that are replaced.
    target = folder.resolve()
    with (
        files.staged(target if target.is_dir() else target.parent) as stage,
        files.reported(folder),
    ):
        new = stage / "suite"
        new.mkdir()
        for scenario in scenarios:
            progress(scenario.name)
            _write_case(new / scenario.name, scenario, chosen, write_models)
        for text in _TEXTS.iterdir():
            shutil.copyfile(text, new / text.name)
        with (new / "README.md").open("a", encoding="utf-8", newline="\n") as readme:
            readme.writelines(_table(scenarios))
        names = [scenario.name for scenario in scenarios]
        _write_json(new / INDEX, {"version": VERSION, "rnnspec": __version__, "cases": names})
        replaced = _check_folder(target, force=force, besides=stage)
        files.publish_folder(new, target, force=False, replaced=replaced)
    return read(target)


def _table(scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield "\n## Cases\n\n| case | what is right | what happens otherwise |\n|---|---|---|\n"
    for scenario in scenarios:
        link = f"[`{scenario.name}`]({scenario.name}/case.json)"
        yield f"| {link} | {scenario.fact} | {scenario.consequence} |\n"


def _known_formats(names: Collection[str] | None) -> list[str]:
    known = formats()
    if names is None:
        return known
    for name in names:
        one_of("format", name, known)
    return [name for name in known if name in names]


def _check_folder(folder: Path, *, force: bool, besides: Path | None = None) -> list[str]:
    """Return the names in a folder that a suite replaces, or raise if none can be written there.

    ``besides`` is a path that may be in it.
    """
    if not files.check_target_folder(folder):
        return []
    files.check_folder(folder)
    present = {path.name for path in folder.iterdir() if path != besides}
    if not present:
        return []
    if INDEX not in present:
        raise UsageError("expected a new or empty folder; this one has other files", str(folder))
    if not force:
        raise UsageError("already exists; use --force or force=True to replace it", str(folder))
    of_suite = {INDEX, *(text.name for text in _TEXTS.iterdir())}
    # An index can name any folder beside it.
    of_suite.update(name for name in read_index(folder).cases if (folder / name / CASE).is_file())
    if others := sorted(present - of_suite):
        raise UsageError(f"not replaced: it also has {listed(others[:3])}", str(folder))
    return sorted(present)


def _write_case(
    folder: Path,
    scenario: Scenario,
    chosen: Sequence[str],
    write_models: Callable[..., tuple[dict[str, str], dict[str, str]]],
) -> None:
    drawn = scenario.draw()
    folder.mkdir()
    (folder / "spec.yaml").write_text(scenario.text, encoding="utf-8", newline="\n")
    for at, call in enumerate(drawn.calls):
        _write_arrays(data_set(folder, at), "input", call.inputs)
        _write_arrays(data_set(folder, at), "output", call.outputs)
    faults = []
    for number, fault in enumerate(drawn.faults):
        faults.append({"name": fault.name, "folder": f"fault_{number}"})
        for at, outputs in enumerate(fault.outputs):
            _write_arrays(data_set(folder / f"fault_{number}", at), "output", outputs)
    models, refused = write_models(folder, scenario, drawn, chosen)
    _write_json(
        folder / CASE,
        {
            "name": scenario.name,
            "fact": scenario.fact,
            "consequence": scenario.consequence,
            "tolerance": drawn.tolerance,
            "calls": len(drawn.calls),
            "inputs": list(drawn.inputs),
            "outputs": list(drawn.outputs),
            "models": models,
            "refused": refused,
            "faults": faults,
        },
    )


def _write_arrays(folder: Path, kind: str, arrays: Sequence[Array]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for at, array in enumerate(arrays):
        np.save(folder / f"{kind}_{at}.npy", np.ascontiguousarray(array), allow_pickle=False)


def _write_json(path: Path, data: Mapping[str, object]) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")

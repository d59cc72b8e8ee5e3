"""Cold commands against their imports, counting against other tools, and the cost of parity."""

from collections.abc import Iterator
from importlib.util import find_spec
from statistics import median

from benchmarks.budget import Budget
from benchmarks.cold import SCRIPT, SPEC, imports_of, process, python
from benchmarks.findings import Findings
from benchmarks.networks import FOUNDING
from benchmarks.race import Effort, Race, Run, log, race
from benchmarks.ratio import against_each

_COMMANDS: dict[str, tuple[str, ...]] = {
    "validate": ("validate", SPEC),
    "summary": ("summary", SPEC),
    "codegen": ("codegen", SPEC, "--backend", "torch"),
    "schema": ("schema",),
    "explain": ("explain", "L303"),
    "lint": ("lint", SPEC),
    "diff": ("diff", SPEC, "specs/narrowing_gru.yaml"),
    "--help": ("--help",),
}
# Python and the libraries take most of a cold command; only the rest is rnnspec's.
_FLOOR = "its imports alone"
_VALIDATE = "rnnspec validate"
_FRAMEWORKS = "import keras, torch"
_COUNTING = {
    "torchinfo": "import torch, torchinfo; from benchmarks.handwritten.torch import *; "
    "torchinfo.summary(BatchFirst(NETS['stacked_lstm']), (32, 500), dtypes=[torch.long])",
    "keras": "from benchmarks.handwritten.keras import *; stacked_lstm(padded=False).summary()",
}


def run(budget: Budget, findings: Findings) -> None:
    """Race each command, then counting, then parity."""
    commands = list(_COMMANDS)[:3] if budget.quick else list(_COMMANDS)
    for name, effort in budget.shared(commands, after=4):
        found = _cold(name, effort)
        findings.add(found, against_each(found, {_VALIDATE: 1.3}))
    found = race(
        "counting",
        {"rnnspec summary": _command("summary")},
        dict(_rivals()),
        budget.effort(4),
        warmups=1,
    )
    findings.add(found, against_each(found, dict.fromkeys(found.theirs, 1.0)))
    # Last and with few rounds: each takes many seconds.
    found = _parity(quick=budget.quick)
    findings.add(found, against_each(found))
    findings.notes.append(_share(found))


def _command(name: str) -> Run:
    return process(SCRIPT, *_COMMANDS[name])


def _cold(name: str, effort: Effort) -> Race:
    theirs = {_FLOOR: python(imports_of(_COMMANDS[name]))}
    if name == "codegen":
        theirs[_VALIDATE] = _command("validate")
    return race(f"cold {name}", {f"rnnspec {name}": _command(name)}, theirs, effort, warmups=1)


def _rivals() -> Iterator[tuple[str, Run]]:
    for package, code in _COUNTING.items():
        if find_spec(package):
            yield f"{package}'s summary", python(code)
        else:
            log(f"{package} is not installed: skipped")


def _parity(*, quick: bool) -> Race:
    specs = [f"specs/{name}.yaml" for name in (FOUNDING[:1] if quick else FOUNDING)]
    ours = {"rnnspec parity": process(SCRIPT, "parity", *specs)}
    effort = Effort(0, 1, 1) if quick else Effort(0, 2, 2)
    title = f"parity of {', '.join(FOUNDING[: len(specs)])}"
    return race(title, ours, {_FRAMEWORKS: python(_FRAMEWORKS)}, effort, warmups=0)


def _share(parity: Race) -> str:
    (whole,), (imports,) = parity.ours.values(), parity.theirs.values()
    return f"{parity.title}: {median(imports) / median(whole):.0%} is the frameworks' import"

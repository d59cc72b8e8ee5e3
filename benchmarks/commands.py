"""The suites of whole processes: commands, growth, memory, checking, and trained files."""

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import files
from benchmarks.networks import FOUNDING, OURS
from benchmarks.processes import SCRIPT, SPEC, imports_of, is_installed, output, process, python
from benchmarks.race import (
    Budget,
    Curve,
    Effort,
    Race,
    Run,
    log,
    result,
)
from benchmarks.tasks import import_file

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
_FRAMEWORKS = "import keras, torch"
_COUNTING = {
    "torchinfo": "import torch, torchinfo; from benchmarks.handwritten.torch import *; "
    "torchinfo.summary(BatchFirst(NETS['stacked_lstm']), (32, 500), dtypes=[torch.long])",
    "keras": "from benchmarks.handwritten.keras import *; stacked_lstm(padded=False).summary()",
}
# Peaks hardly vary, and some processes take many seconds.
_ONCE, _TWICE = Effort(0, 1, 1), Effort(0, 2, 2)
_PEAKS: dict[str, Any] = {"warmups": 0, "measure": result, "unit": "MB"}
_MANY = 1000


def commands(budget: Budget) -> None:
    """Race cold commands against their imports, counting against other tools, and parity."""
    # Python and the libraries take most of a cold command; only the rest is rnnspec's.
    for name, effort in budget.shared(list(_COMMANDS)[: 3 if budget.quick else None], after=4):
        theirs = {"its imports alone": python(imports_of(_COMMANDS[name]))}
        if name == "codegen":
            theirs["rnnspec validate"] = process(SCRIPT, *_COMMANDS["validate"])
        ours = {f"rnnspec {name}": process(SCRIPT, *_COMMANDS[name])}
        aims = {"rnnspec validate": 1.3}
        budget.race(f"cold {name}", ours, theirs, effort, aims, warmups=1)
    theirs = {
        f"{package}'s summary": python(code)
        for package, code in _COUNTING.items()
        if is_installed(package)
    }
    ours, aims = {"rnnspec summary": process(SCRIPT, "summary", SPEC)}, dict.fromkeys(theirs, 1.0)
    budget.race("counting", ours, theirs, budget.effort(4), aims, warmups=1)
    # Last and with few rounds: each takes many seconds.
    names = FOUNDING[:1] if budget.quick else FOUNDING
    ours = {"rnnspec parity": process(SCRIPT, "parity", *(f"specs/{n}.yaml" for n in names))}
    title, effort = f"parity of {', '.join(names)}", _ONCE if budget.quick else _TWICE
    found = budget.race(title, ours, {_FRAMEWORKS: python(_FRAMEWORKS)}, effort, warmups=0)
    (whole,), (imports,) = found.ours.values(), found.theirs.values()
    share = median(imports) / median(whole)
    budget.findings.notes.append(f"{title}: {share:.0%} is the frameworks' import")


def growth(budget: Budget) -> None:
    """Measure the growth of the compiler's time and memory with layers and with specs."""
    most = 1000 if budget.quick else 10_000
    curves = {
        "layers": ("codegen of one spec, by layers", (1, 3, 10, 30, 100, 300, 1000, 2000)),
        "specs": ("validate --jobs 1, by specs", (1, 10, 100, 1000, 3000, 10_000)),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (title, all_sizes) in curves.items():
            write = files.deep_spec if name == "layers" else files.many_specs
            first, points = write(Path(folder), 1), []
            sizes = [size for size in all_sizes if size <= most]
            for size in sizes:
                log(f"{title}: {size:,}")
                # In a fresh process, because the caches filled by one size would help the next.
                paths = (str(write(Path(folder), size)), str(first))
                task = ("-m", "benchmarks.tasks", f"growth-{name}", *paths)
                points.append(json.loads(output(sys.executable, *task)))
            times, peaks = (list(axis) for axis in zip(*points, strict=True))
            budget.findings.curves.append(Curve(name, title, sizes, times, peaks))


def memory(budget: Budget) -> None:
    """Race the peaks of building a model, of a training step, and of reading a file of vectors."""
    tasks = ["torch-step"] if find_spec("torch") else []
    if not budget.quick:
        tasks = ["torch-build", *tasks] if tasks else []
        tasks += ["keras-build", "keras-step"] if find_spec("tensorflow") else []
    for task in tasks:
        ours, theirs = {OURS: _peak(task)}, {"by hand": _peak(f"{task}-by-hand")}
        budget.race(f"peak of {task.replace('-', ', ')}", ours, theirs, _TWICE, **_PEAKS)
    size, effort = (50_000_000, _TWICE) if budget.quick else (2_000_000_000, _ONCE)
    rivals = {
        "a dictionary of the whole file": "vectors-whole",
        "a loop that keeps the rows needed": "vectors-needed",
    }
    with tempfile.TemporaryDirectory() as folder:
        log(f"writing {size / 1e6:,.0f} MB of vectors")
        files.vectors(Path(folder), size)
        taken: dict[str, list[float]] = {}
        title, ours = (
            f"vectors of {size / 1e6:,.0f} MB",
            {"rnnspec": _peak("vectors", folder, taken)},
        )
        theirs = {name: _peak(task, folder, taken) for name, task in rivals.items()}
        budget.race(f"peak of {title}", ours, theirs, effort, **_PEAKS)
    times = {name: taken[task] for name, task in rivals.items()}
    budget.add(Race(f"time of {title}", {"rnnspec": taken["vectors"]}, times))


def _peak(task: str, path: str = "", taken: dict[str, list[float]] | None = None) -> Run:
    """Return a run that returns megabytes, and adds its seconds to ``taken``."""
    command = [sys.executable, "-m", "benchmarks.tasks", task, *([path] if path else [])]

    def run() -> float:
        # Frameworks may print before the answer.
        answer = json.loads(output(*command, KERAS_BACKEND="tensorflow").splitlines()[-1])
        if taken is not None:
            taken.setdefault(task, []).append(answer["seconds"])
        return float(answer["megabytes"])

    return run


def checking(budget: Budget) -> None:
    """Race commands that continuous integration and editors wait for.

    Cold ``rnnspec validate`` against check-jsonschema with rnnspec's own schema, and against a
    process with only the imports of both; a thousand specs in one call; ``rnnspec --help``.
    """
    effort, many = budget.effort(3), "rnnspec validate --jobs 1"
    rival, libraries = "check-jsonschema", "import yaml, pydantic"
    imports = {libraries: python(libraries)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script, schema = Path(SCRIPT).with_name(rival), folder / "schema.json"
        schema.write_bytes(output(SCRIPT, "schema"))

        def rivals(*specs: str) -> dict[str, Run]:
            if not script.exists():
                log(f"{rival} is not installed: skipped")
                return {}
            return {rival: process(str(script), "--schemafile", str(schema), *specs)}

        # 'import pydantic' alone is lazy.
        model = "from pydantic import BaseModel"
        loads = {f"{model}, which loads it": python(f"import yaml; {model}")}
        ours, aims = (
            {"rnnspec validate": process(SCRIPT, "validate", SPEC)},
            {rival: 1.0, libraries: 2.0},
        )
        budget.race("one spec", ours, rivals(SPEC) | imports | loads, effort, aims)
        specs = [str(path) for path in sorted(files.many_specs(folder, _MANY).iterdir())]
        # One process, because check-jsonschema uses one.
        ours = {many: process(SCRIPT, "validate", "--jobs", "1", *specs)}
        title, theirs = f"{_MANY} specs", rivals(*specs) | imports
        found = budget.race(title, ours, theirs, effort, warmups=1)
        rate = _MANY / median(found.ours[many])
        budget.findings.notes.append(f"{many}: {rate:,.0f} specs a second")
        ours, typer = {"rnnspec -h": process(SCRIPT, "--help")}, "import typer"
        budget.race("help", ours, {typer: python(typer)}, effort, {typer: 1.5})


_READ = {
    "h5": (
        "h5py alone",
        """\
import h5py
kept = []
def keep(_, item):
    if isinstance(item, h5py.Dataset):
        kept.append(item[()])
h5py.File({path!r}).visititems(keep)
""",
    ),
    "safetensors": (
        "safetensors alone",
        """\
from safetensors.numpy import load_file
kept = load_file({path!r})
""",
    ),
}


def trained(budget: Budget) -> None:
    """Race the import of a file as a command and in one process, its peak, and a conversion."""
    small = 400  # units, of which the size is about the square
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending, effort in budget.shared(list(_READ), after=4):
            path = files.trained(folder / f"trained.{ending}", small if budget.quick else 1440)
            _race_imports(budget, path, effort)
        if not budget.quick and find_spec("torch") and find_spec("tensorflow"):
            path = files.trained(folder / "small.h5", small)
            ours = process(SCRIPT, "convert", str(path), str(path.with_name("net")), "--force")
            title = f"conversion of {path.stat().st_size / 1e6:,.0f} MB of .h5 to PyTorch"
            theirs = {_FRAMEWORKS: python(_FRAMEWORKS)}
            budget.race(title, {"rnnspec convert": ours}, theirs, _TWICE, warmups=0)


def _race_imports(budget: Budget, path: Path, effort: Effort) -> None:
    """Race the import of a file against a library that only reads its arrays."""
    reader, code = _READ[path.suffix[1:]]
    code, aims = code.format(path=str(path)), {reader: 1.5}
    mega = path.stat().st_size / 1e6
    title = f"import of {mega:,.0f} MB of {path.suffix}"
    command = process(SCRIPT, "import", str(path), "-o", str(path.with_name("n.yaml")), "--force")
    ours, theirs, limits = {"rnnspec import": command}, {reader: python(code)}, aims
    if path.suffix == ".h5":
        # The command opens the original in Keras, too, and compares.
        theirs, limits = {"import keras": python("import keras")}, {"import keras": 1.5}
    budget.race(f"{title}, as a command", ours, theirs, effort, limits, warmups=1)
    compiled = compile(code, "trained", "exec")
    ours, theirs = {"rnnspec": lambda: import_file(path)}, {reader: lambda: exec(compiled, {})}
    budget.race(f"{title}, in one process", ours, theirs, effort, aims, warmups=1)
    ours, size = {"rnnspec": _peak("import", str(path))}, "the size of the file"
    budget.race(f"peak of the {title}", ours, {size: lambda: mega}, _TWICE, {size: 2.2}, **_PEAKS)

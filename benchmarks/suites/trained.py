"""Import of 100 MB against the libraries that read arrays, and the conversion of a small model."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks import trained_files
from benchmarks.budget import Budget
from benchmarks.cold import SCRIPT, output, process, python
from benchmarks.findings import Findings
from benchmarks.race import Effort, Race, Run, race, told
from benchmarks.ratio import against_each

_FULL, _QUICK = 1440, 400  # units, of which the size is about the square
_WITH_H5PY = """\
import h5py
kept = []
def keep(_, each):
    if isinstance(each, h5py.Dataset):
        kept.append(each[()])
h5py.File({path!r}).visititems(keep)
"""
_WITH_SAFETENSORS = """\
from safetensors.numpy import load_file
kept = load_file({path!r})
"""
_ALONE = {
    "h5": ("h5py alone", _WITH_H5PY),
    "safetensors": ("safetensors alone", _WITH_SAFETENSORS),
}
_IMPORT = "from pathlib import Path\nfrom rnnspec.importing.run import take\ntake(Path({path!r}))"
# Not getrusage, whose peak begins with that of the process that started this one.
_PEAK = """\
{code}
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
_FRAMEWORKS = "import keras, torch"


def run(budget: Budget, findings: Findings) -> None:
    """Race the import of a file as a command and in one process, its peak, and a conversion."""
    units = _QUICK if budget.quick else _FULL
    with tempfile.TemporaryDirectory() as folder:
        written = {
            ending: make(Path(folder) / f"trained.{ending}", units)
            for ending, make in trained_files.MAKERS.items()
        }
        for ending, effort in budget.shared(list(written), after=4):
            for found, aims in _races(ending, written[ending], effort):
                findings.add(found, against_each(found, aims))
        if not budget.quick and find_spec("torch") and find_spec("tensorflow"):
            found = _conversion(trained_files.keras_file(Path(folder) / "small.h5", _QUICK))
            findings.add(found, against_each(found))


def _races(ending: str, path: Path, effort: Effort) -> Iterator[tuple[Race, dict[str, float]]]:
    alone, reading = _ALONE[ending]
    mega = path.stat().st_size / 1e6
    what, code = f"{mega:,.0f} MB of .{ending}", reading.format(path=str(path))
    ours = process(SCRIPT, "import", str(path), "-o", str(path.with_name("net.yaml")), "--force")
    title = f"import of {what}, as a command"
    found = race(title, {"rnnspec import": ours}, {alone: python(code)}, effort, warmups=1)
    yield found, {alone: 1.5}
    importing = _IMPORT.format(path=str(path))
    title = f"import of {what}, in one process"
    found = race(title, {"rnnspec": _ran(importing)}, {alone: _ran(code)}, effort, warmups=1)
    yield found, {alone: 1.5}
    size = "the size of the file"
    title, contestants = f"peak of the import of {what}", {"rnnspec": _peak(importing)}
    once = Effort(0, 2, 2)
    found = race(title, contestants, {size: lambda: mega}, once, warmups=0, measure=told, unit="MB")
    yield found, {size: 2.2}


def _ran(code: str) -> Callable[[], object]:
    compiled = compile(code, "trained", "exec")
    return lambda: exec(compiled, {})


def _peak(code: str) -> Run:
    command = (sys.executable, "-c", _PEAK.format(code=code))
    return lambda: float(output(*command).split()[-1]) * 1024 / 1e6


def _conversion(path: Path) -> Race:
    ours = process(SCRIPT, "convert", str(path), str(path.with_name("net")), "--force")
    title = f"conversion of {path.stat().st_size / 1e6:,.0f} MB of .h5 to PyTorch"
    theirs = {_FRAMEWORKS: python(_FRAMEWORKS)}
    return race(title, {"rnnspec convert": ours}, theirs, Effort(0, 2, 2), warmups=0)

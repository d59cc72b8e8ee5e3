"""The suites by name, each with its time limit.

A suite is a module with ``run(budget, findings)``, imported only if it is selected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from benchmarks.budget import Budget
from benchmarks.findings import Findings


@dataclass(frozen=True, slots=True)
class Suite:
    """The name of a suite and of its module, and its seconds in full and with ``--quick``."""

    name: str
    full: float
    quick: float
    needs: str = ""
    """The package that it needs; it is skipped if the package is not installed."""

    def seconds(self, *, quick: bool) -> float:
        """Return the time limit, which the fewest rounds may exceed."""
        return self.quick if quick else self.full

    def run(self, findings: Findings, *, quick: bool) -> None:
        """Run the suite and add its results to ``findings``."""
        # find_spec, because importing a framework takes seconds, and memory until the end.
        if self.needs and not find_spec(self.needs):
            findings.notes.append(f"{self.name}: {self.needs} is not installed")
            return
        budget = Budget(self.seconds(quick=quick), quick)
        suite: Callable[[Budget, Findings], None]
        suite = import_module(f"benchmarks.suites.{self.name}").run
        suite(budget, findings)
        if budget.left_out:
            findings.notes.append(f"{self.name}: time was up, {budget.left_out} races left out")


SUITES = (
    Suite("runtime", 210, 12, "torch"),
    Suite("single", 40, 4, "torch"),
    Suite("engines", 120, 16, "torch"),
    Suite("flax", 100, 12, "flax"),
    Suite("cells", 45, 6, "torch"),
    Suite("keras", 50, 14, "tensorflow"),
    Suite("stack", 15, 3, "torch"),
    Suite("onnx", 80, 16, "onnxruntime"),
    Suite("step", 60, 8, "torch"),
    Suite("commands", 75, 16),
    Suite("growth", 55, 6),
    Suite("memory", 90, 10),
    Suite("checking", 30, 12),
    Suite("trained", 60, 10, "h5py"),
)

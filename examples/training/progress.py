"""What every example does beside training: options, errors, progress, early stop, and a curve."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnspec.errors import RnnspecError


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all examples take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", default=Path(__file__).with_name("characters.yaml"))
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder of the results")
    parser.add_argument("--text", type=Path, help="UTF-8 text; by default Python's reference")
    parser.add_argument("--steps", type=positive, default=600)
    parser.add_argument("--batch", type=positive, default=32, help="sequences over all processes")
    parser.add_argument("--every", type=positive, default=50, help="steps between checkpoints")
    parser.add_argument("--patience", type=positive, default=5, help="checkpoints without a gain")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def parallel_options(description: str) -> argparse.Namespace:
    """Return the options given, with those of several devices and processes."""
    options = parser(description)
    options.add_argument("--devices", type=positive, default=1, help="devices of each process")
    options.add_argument("--processes", type=positive, default=1)
    options.add_argument("--rank", type=int, default=0)
    options.add_argument("--meet", default="127.0.0.1:29400", metavar="HOST:PORT")
    given = options.parse_args()
    if not 0 <= given.rank < given.processes:
        options.error(f"expected a rank from 0 to {given.processes - 1}, received {given.rank}")
    return given


def positive(text: str) -> int:
    """Return a positive integer that was given as an option."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive integer, received {text!r}")
    return int(text)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End without a traceback if the spec, the text or a folder is at fault."""
    try:
        yield
    except (RnnspecError, OSError, UnicodeDecodeError) as error:
        raise SystemExit(str(error)) from None


@dataclass
class History:
    """The losses of a run; ``lowest`` is the best of validation so far, and ``since`` its age."""

    steps: list[int] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def add(self, step: int, training: float, validation: float) -> None:
        """Add the losses of a checkpoint."""
        self.steps.append(step)
        self.training.append(training)
        self.validation.append(validation)

    def is_over(self, patience: int) -> bool:
        """Return whether the last ``patience`` checkpoints brought no gain in validation."""
        recent, before = self.validation[-patience:], self.validation[:-patience]
        return bool(before) and min(recent) >= min(before)

    def until(self, step: int) -> History:
        """Return the losses up to a step."""
        number = sum(each <= step for each in self.steps)
        return History(self.steps[:number], self.training[:number], self.validation[:number])

    def as_json(self) -> str:
        """Return the losses as JSON."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> History:
        """Return the losses that ``as_json`` wrote."""
        return cls(**json.loads(text))

    def draw(self, path: Path) -> None:
        """Write the curves of both losses as a PNG."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(figsize=(6, 4), dpi=150, layout="constrained")
        axes.plot(self.steps, self.training, label="training")
        axes.plot(self.steps, self.validation, label="validation")
        axes.set(xlabel="step", ylabel="cross-entropy in nats a character")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path)
        plt.close(figure)


@dataclass(frozen=True)
class Report:
    """What a run prints: a bar in a terminal, and a line for each checkpoint anywhere."""

    total: int
    progress: Any
    task: Any
    shown: bool

    def step(self, step: int, loss: float) -> None:
        """Move the bar to a step, with its loss beside it."""
        self.progress.update(self.task, completed=step, description=f"loss {loss:.3f}")

    def checkpoint(self, history: History) -> None:
        """Print both losses of the last checkpoint."""
        losses = f"training {history.training[-1]:.3f}, validation {history.validation[-1]:.3f}"
        self._print(f"step {history.steps[-1]} of {self.total}: {losses}")

    def end(self, history: History, out: Path) -> None:
        """Print why a run is over, and what it wrote."""
        if not self.shown:  # another process wrote, and perhaps on another machine
            return
        if history.steps and history.steps[-1] < self.total:
            self._print("stopped early: validation brings no gain")
        names = sorted(each.name for each in out.iterdir() if not each.name.startswith("."))
        self._print(f"wrote to {out}: {', '.join(names)}")

    def _print(self, line: str) -> None:
        if self.shown:
            self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def report(total: int, done: int, *, shown: bool) -> Iterator[Report]:
    """Yield what prints the progress of a run; of several processes, only one is ``shown``."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    bar = Progress(*columns, console=console, disable=not (shown and console.is_terminal))
    with bar:
        if shown and done:
            console.print(f"going on from step {done}", highlight=False)
        yield Report(total, bar, bar.add_task("training", total=total, completed=done), shown)


@contextmanager
def whole(path: Path, *, keeps: bool = True) -> Iterator[Path]:
    """Yield a path to write to; the file gets its name when it is complete, if it is kept."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    partial.touch()
    mode = partial.stat().st_mode
    try:
        yield partial
        # safetensors replaces the file by one that only its owner may read.
        partial.chmod(mode)
        if keeps:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

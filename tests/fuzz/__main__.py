"""``python -m fuzz bytes|specs|growth|models|onnx [--runs N] [--seed N]``, run in ``tests``."""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
import time


def main() -> None:
    """Run one kind of fuzzing; a failing input is saved in the working directory."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("kind", choices=["bytes", "specs", "growth", "models", "onnx"])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.kind == "bytes":
        from fuzz.of_bytes import run as run_bytes

        run_bytes(asked.runs, asked.seed)
        return
    if asked.kind == "growth":
        from fuzz.of_growth import run as run_growth

        print(f"{run_growth():,} kinds of text, each answered in time linear in its length")
        return
    if asked.kind in ("models", "onnx"):
        _files(asked.kind, asked.runs, asked.seed)
        return
    from fuzz.of_specs import run as run_specs
    from fuzz.verdict import MEBIBYTES

    begun = time.monotonic()
    accepted = run_specs(asked.runs, asked.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{asked.runs:,} mutated specs, {accepted:,} of them accepted and compiled, in "
        f"{time.monotonic() - begun:,.0f} s, peak {peak:,.0f} MiB"
    )
    sys.exit(peak > MEBIBYTES)


def _files(kind: str, number: int, seed: int) -> None:
    if kind == "models":
        from fuzz.of_models import run
    else:
        from fuzz.of_onnx import run

    begun = time.monotonic()
    # A folder that stays: a broken file is left in it if it ends the process.
    with contextlib.chdir(tempfile.mkdtemp(prefix="rnnspec-fuzz-")):
        accepted = run(number, seed)
    took = time.monotonic() - begun
    print(f"{number:,} broken model files, {accepted:,} of them accepted, in {took:,.0f} s")


main()

"""Check on a GPU that generated source keeps the fused path: ``python -m benchmarks.gpu``.

For each framework that is installed: the operation that runs the recurrent layers, the largest
difference from the float64 reference without and with TF32, and the time beside stock code.
Without a GPU, small networks run on the CPU, and no fused path is checked. The exit code is 1 if
the fused path was not taken or a difference is above its tolerance.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec

from benchmarks.gpu.work import TOLERANCES, Found

FRAMEWORKS = {"torch": "torch", "keras": "tensorflow", "jax": "flax"}


def main() -> int:
    """Run each framework in its own process, because each takes the memory of the GPU."""
    wrong: list[str] = []
    off, on = (f"within {limit:g}" for limit in TOLERANCES.values())
    print(f"framework, cell: path; difference without TF32 ({off}), with TF32 ({on}); times")
    for name, package in FRAMEWORKS.items():
        if find_spec(package) is None:
            print(f"{name}: not installed")
            continue
        gpu, found = _in_process(name)
        if not gpu:
            print(f"{name}: no GPU: the fused path was not checked")
        for each in found:
            print(f"{name}, {_line(each)}", flush=True)
        wrong += [f"{name}, {each.wrong}" for each in found if each.wrong]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


def _line(found: Found) -> str:
    off, on = found.differences
    times = (
        f"{title} {1e3 * ours:.2f} ms, stock {1e3 * stock:.2f} ms ({ours / stock:.2f})"
        for title, (ours, stock) in found.times.items()
    )
    return "; ".join([f"{found.cell}: {found.path}", f"{off:.1e}, {on:.1e}", *times])


def _in_process(name: str) -> tuple[str, list[Found]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    gpu, *found = json.loads(done.stdout.splitlines()[-1])
    return gpu, [Found(**each) for each in found]


def _lane(name: str) -> None:
    lane = import_module(f"benchmarks.gpu.{name}")
    print(json.dumps([lane.gpu(), *map(asdict, lane.found())]))


if __name__ == "__main__":
    if sys.argv[1:]:
        _lane(sys.argv[1])
    else:
        sys.exit(main())

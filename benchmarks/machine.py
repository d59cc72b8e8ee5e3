"""The environment of a measurement: the machine, its load, and the versions of packages."""

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "rnnspec",
    "pydantic",
    "pyyaml",
    "typer",
    "rich",
    "check-jsonschema",
    "torchinfo",
    "numpy",
    "torch",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "flax",
    "onnx",
    "onnxruntime",
    "tf2onnx",
)


def machine() -> dict[str, str]:
    """Return the facts that the results depend on, in the order of printing."""
    return {
        "machine": f"{_processor()}, {_cores()} cores, {platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
    }


def _processor() -> str:
    """Return the name of the processor, which ``platform`` does not know on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def _cores() -> int:
    # A container or taskset may allow fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""Networks as C and C++: the source of rnnspec and that of other tools, compiled and timed alike.

A program is a file that includes a network and defines ``sequence``, which computes a whole
sequence from the first state. ``handwritten/driver.h`` repeats and times it within the program.

The other tools are in the folder that ``RNNSPEC_PEERS`` names, else ``build/peers``; any may be
missing:

- ``RTNeural``: a clone, with its submodule ``modules/xsimd``
- ``onnx2c``: a clone with its submodules, built by CMake in ``build``
- ``emx``: a virtual environment with ``emx-onnx-cgen``
"""

import ctypes
import os
import platform
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import OURS, ROOT, STEPS, Case
from benchmarks.processes import SCRIPT, output
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from onnx import ModelProto

Arrays = Mapping[str, NDArray[Any]]

FLAGS = (PORTABLE, AVX2, NATIVE) = "-O3", "-O3 -march=haswell", "-O3 -march=native"
RTNEURAL, XSIMD, ONNX2C, EMX = "RTNeural", "RTNeural's xsimd", "onnx2c", "emx-onnx-cgen"
_PATHS = {
    RTNEURAL: "RTNeural/RTNeural/RTNeural.h",
    XSIMD: "RTNeural/modules/xsimd/include",
    ONNX2C: "onnx2c/build/onnx2c",
    EMX: "emx/bin/emx-onnx-cgen",
}
# As a release is built. Without the last two, names of a program may be taken from other libraries.
_ALWAYS = (
    *("-DNDEBUG", "-w", "-I", str(ROOT / "benchmarks" / "handwritten")),
    *("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-Bsymbolic"),
)
_IS_X86 = platform.machine() in ("x86_64", "AMD64")
_CPU = Path("/proc/cpuinfo")
_HAS_AVX512 = _CPU.exists() and "avx512vl" in _CPU.read_text()
_TYPES = {"int32": "int32_t", "int64": "int64_t", "float32": "float"}


def flag_sets() -> list[str]:
    """Return the flags to compile with; those of AVX2 are for x86-64 only."""
    return [flags for flags in FLAGS if flags != AVX2 or _IS_X86]


def compilers() -> str:
    """Return what the compilers say of their versions."""
    commands = (_compiler("CC", "cc"), _compiler("CXX", "c++"))
    lines = (output(*command, "--version").decode().splitlines()[0] for command in commands)
    return " and ".join(dict.fromkeys(lines))


def missing_peers() -> list[str]:
    """Return a sentence about each of the other tools that is not there."""
    return [f"no {name} at {_path(name)}" for name in _PATHS if not _path(name).exists()]


def _path(name: str) -> Path:
    folder = Path(os.environ.get("RNNSPEC_PEERS", ROOT / "build" / "peers")).expanduser()
    return folder.absolute() / _PATHS[name]


def _compiler(variable: str, default: str) -> list[str]:
    return shlex.split(os.environ.get(variable, default))


@dataclass(frozen=True, slots=True)
class Program:
    """A program: its text, the type of its inputs, and what its compiler needs to know.

    ``arrays`` are for its function ``load``, if it has one.
    """

    text: str
    dtype: str
    flags: tuple[str, ...] = ()
    arrays: tuple[NDArray[Any], ...] = ()
    in_cpp: bool = False

    def compile(self, flags: str, x: NDArray[Any]) -> "Compiled":
        """Return the program, compiled, with a sequence as its input."""
        compiler = _compiler("CXX", "c++") if self.in_cpp else _compiler("CC", "cc")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / ("program.cpp" if self.in_cpp else "program.c")
            source.write_text(self.text, "utf-8")
            library = source.with_suffix(".so")
            options = (*shlex.split(flags), *_ALWAYS, *self.flags)
            output(*compiler, *options, str(source), "-o", str(library), "-lm")
            code = ctypes.CDLL(str(library))
        if self.arrays:
            code.load((ctypes.c_void_p * len(self.arrays))(*(a.ctypes.data for a in self.arrays)))
        code.drive.restype = ctypes.c_double
        code.drive.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)
        return Compiled(code, np.ascontiguousarray(x, self.dtype), np.zeros(STEPS, np.float32))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled program, its input, and its output: of each step, or first that of the whole."""

    code: Any
    x: NDArray[Any]
    y: NDArray[Any]

    def time(self, repeats: int) -> float:
        """Return the seconds of a sequence, after one that does not count."""
        return float(self.code.drive(self.x.ctypes.data, self.y.ctypes.data, repeats))


def programs(
    case: Case, network: nodes.Network, arrays: Arrays, model: "ModelProto"
) -> Iterator[tuple[str, Program]]:
    """Yield rnnspec's program and those of the tools that are there, each with its name.

    RTNeural computes single steps only.
    """
    yield OURS, _ours(case)
    if case.stepped and _path(RTNEURAL).exists():
        version = _version(RTNEURAL)
        yield f"{version}, Eigen", _rtneural(network, arrays, _eigen(case.flags))
        if _path(XSIMD).exists():
            yield f"{version}, xsimd", _rtneural(network, arrays, _xsimd(case.flags))
    for tool, entry in ((ONNX2C, "entry"), (EMX, "emx")):
        if _path(tool).exists():
            # The same source for all flags.
            text = _convert(tool, replace(case, flags=""))
            yield _version(tool), _of_onnx(case, model, entry, text)


def _version(tool: str) -> str:
    """Return the name of a tool with its commit, or with the version of its package."""
    path = _path(tool)
    code = f"from importlib.metadata import version; print(version('{EMX}'))"
    of_package = (str(path.with_name("python")), "-c", code)
    of_clone = ("git", "-C", str(path.parents[1]), "rev-parse", "--short=7", "HEAD")
    return f"{tool} {output(*(of_package if tool == EMX else of_clone)).decode().strip()}"


def _driver(dtype: str, sequence: str, first: str = "") -> str:
    """Return the end of a program in C."""
    return f"""
#include <stdint.h>
#include <string.h>
typedef {_TYPES[dtype]} INPUT;
#include "driver.h"
{first}
static void sequence(const INPUT *x, float *y) {{
{sequence}
}}
"""


def _ours(case: Case) -> Program:
    if case.stepped:
        storage = "{upper}_ALIGNED static {name}_state state;"
        calls = f"""\
    {{name}}_reset(&state);
    for (int step = 0; step < {STEPS}; ++step)
        {{name}}_step(&state, x + step, y + step);"""
    else:
        storage = "{upper}_ALIGNED static float workspace[{upper}_WORKSPACE];"
        calls = f"    {{name}}_run(x, {STEPS}, y, workspace);"
    target = "portable"
    if _IS_X86 and case.flags != PORTABLE:
        target = "avx512" if case.flags == NATIVE and _HAS_AVX512 else "avx2"
    names = {"name": case.network, "upper": case.network.upper()}
    header = _build(replace(case, flags=""), target)
    dtype = "int32" if case.has_tokens else "float32"
    end = _driver(dtype, calls.format_map(names), storage.format_map(names))
    return Program(f"#define {names['upper']}_IMPLEMENTATION\n{header}{end}", dtype)


@cache
def _build(case: Case, target: str) -> str:
    """Return the header that ``rnnspec build`` writes, with the weights of the case."""
    with tempfile.TemporaryDirectory() as folder:
        spec, header = Path(folder) / "network.yaml", Path(folder) / "network.h"
        spec.write_text(case.text, "utf-8")
        form = "step" if case.stepped else "inference"
        options = ("--form", form, "--target", target, "--single-header", "--seed", "0")
        output(SCRIPT, "build", str(spec), "-b", "c", *options, "-o", str(header))
        return header.read_text("utf-8")


def _eigen(flags: str) -> tuple[str, ...]:
    alignment = 32 if flags != PORTABLE and _IS_X86 else 16
    eigen = _path(RTNEURAL).parents[1] / "modules" / "Eigen"
    return (
        *("-DRTNEURAL_USE_EIGEN=1", f"-DRTNEURAL_DEFAULT_ALIGNMENT={alignment}"),
        # Without it, LSTMs of 64 units and more do not compile.
        *("-DEIGEN_STACK_ALLOCATION_LIMIT=0", "-I", str(eigen)),
    )


def _xsimd(flags: str) -> tuple[str, ...]:
    options = ("-DRTNEURAL_USE_XSIMD=1", "-I", str(_path(XSIMD)))
    if flags == PORTABLE or not _IS_X86:
        return (*options, "-DRTNEURAL_DEFAULT_ALIGNMENT=16")
    # AVX is the most that its CMake offers: its alignments are not those of AVX-512.
    avx = ("-DRTNEURAL_AVX_ENABLED=1", "-DRTNEURAL_DEFAULT_ALIGNMENT=32", "-mno-avx512f")
    return (*options, *avx)


def _rtneural(network: nodes.Network, arrays: Arrays, flags: tuple[str, ...]) -> Program:
    """Return the layers of a network in RTNeural, behind a table, which it has no layer for."""
    layers, loads, order = list[str](), list[str](), list[str]()
    dtype, storage, x, width = "float32", "", "x + step", 1
    for layer in network.layers:
        size, place = layer.input[-1], f"network.get<{len(layers)}>(), arrays + {len(order)}"
        match layer:
            case nodes.Embedding(vocabulary=vocabulary, dim=dim):
                dtype, x, width = "int32", f"table + {dim} * x[step]", dim
                storage = f"alignas(64) static float table[{vocabulary} * {dim}];"
                loads.append(f"std::copy_n(arrays[0], {vocabulary} * {dim}, table);")
                order.append(f"{layer.name}.embeddings")
            case nodes.Recurrent(units=units):
                layers.append(f"RTNeural::LSTMLayerT<float, {size}, {units}>")
                loads.append(f"load_lstm({place});")
                names = ("kernel", "recurrent_kernel", "bias")
                order += (f"{layer.name}.{name}" for name in names)
            case nodes.Dense(units=1, activation=activation):
                layers.append(f"RTNeural::DenseT<float, {size}, 1>")
                loads.append(f"load_dense({place});")
                order += (f"{layer.name}.{name}" for name in ("kernel", "bias"))
                if activation == "sigmoid":
                    layers.append("RTNeural::SigmoidActivationT<float, 1>")
            case nodes.Dropout():
                continue
            case _:
                raise NotImplementedError(layer.name)
    sequence = f"""\
    network.reset();
    for (int step = 0; step < {STEPS}; ++step)
        y[step] = network.forward({x});"""
    text = f"""\
#include "rtneural.h"
static RTNeural::ModelT<float, {width}, 1, {", ".join(layers)}> network;
{storage}
extern "C" __attribute__((visibility("default"))) void load(const float *const *arrays) {{
    {" ".join(loads)}
}}
{_driver(dtype, sequence)}"""
    options = ("-std=c++17", "-I", str(_path(RTNEURAL).parents[1]), *flags)
    values = tuple(np.ascontiguousarray(arrays[name], np.float32) for name in order)
    return Program(text, dtype, options, values, in_cpp=True)


def _of_onnx(case: Case, model: "ModelProto", entry: str, text: str) -> Program:
    """Return a program around the function that a tool made of an ONNX file."""
    dtype = "int64" if case.has_tokens else "float32"
    if not case.stepped:
        return Program(text + _driver(dtype, f"    {entry}((void *)x, (void *)y);"), dtype)
    # The new states of one step are those before the next.
    _, *states = model.graph.input
    sizes = [state.type.tensor_type.shape.dim[-1].dim_value for state in states]
    names = [[f"{side}{number}" for number in range(len(sizes))] for side in ("even", "odd")]
    storage = [
        f"static float {n}[{s}];" for side in names for n, s in zip(side, sizes, strict=True)
    ]
    even, odd = (", ".join(f"(void *){name}" for name in side) for side in names)
    calls = [f"    memset({name}, 0, sizeof {name});" for name in names[0]]
    calls += [
        f"    for (int step = 0; step < {STEPS}; step += 2) {{",
        f"        {entry}((void *)(x + step), {even}, (void *)(y + step), {odd});",
        f"        {entry}((void *)(x + step + 1), {odd}, (void *)(y + step + 1), {even});",
        "    }",
    ]
    return Program(text + _driver(dtype, "\n".join(calls), "\n".join(storage)), dtype)


@cache
def _convert(tool: str, case: Case) -> str:
    """Return the C that a tool makes of the ONNX file of a case, which may take seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path, source = Path(folder) / "network.onnx", Path(folder) / "network.c"
        path.write_bytes(case.build("onnx").to_proto().SerializeToString())
        if tool == ONNX2C:
            command = (str(_path(tool)), "-d", "batch:1", "-d", "steps:1", str(path))
            return output(*command).decode()
        sizes = ["--input-dim", "batch=1", *(["--input-dim", "steps=1"] if case.stepped else [])]
        # Without limits, it would allocate memory, and read weights from a file.
        limits = ("--large-temp-threshold", "0", "--large-weight-threshold", "0")
        options = ("--model-name", "emx", *sizes, *limits)
        output(str(_path(tool)), "compile", *options, str(path), str(source))
        return source.read_text("utf-8")

"""The functions that layers in plain C share, compiled and compared with NumPy."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pytest
from cases import cases

from rnnspec.backends.base import TEMPLATES
from rnnspec.backends.c.arrays import WIDTHS, group_columns
from rnnspec.comparison.reference import activate
from rnnspec.ir import nodes
from rnnspec.source.render import environment
from rnnspec.words import Activation

if TYPE_CHECKING:
    from rnnspec.backends.slots import Array

COMPILER = shlex.split(os.environ.get("CC", "cc"))
WARNINGS = shlex.split(
    "-pedantic -Wall -Wextra -Wconversion -Wdouble-promotion -Wshadow -Wunused -Werror"
)
LANGUAGES = {
    "C99": [*COMPILER, "-x", "c", "-std=c99"],
    "gcc": ["gcc", "-x", "c", "-std=c99"],
    "clang": ["clang", "-x", "c", "-std=c99"],
    "C++11": ["g++", "-x", "c++", "-std=c++11"],
}
PRODUCTS = ("product", "product_rows", "product_int8", "product_rows_int8")
SINGLE = ("exp", "tanh", "sigmoid")
PLURALS = {"softmax": "softmax", "log_softmax": "log_softmax", "softplus": "softpluses"}
ACTIVATIONS = {
    name: PLURALS.get(name, f"{name}s") for name in get_args(Activation) if name != "linear"
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38, -3e38, 3.0, -3.0, 2.5, -2.5]

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None, reason=f"there is no C compiler: {COMPILER[0]} is not found"
)


def laid_out(functions: Sequence[str], target: str = "portable") -> str:
    template = environment(TEMPLATES / "c").get_template("kernels.c.j2")
    includes = "#include <stddef.h>\n#include <stdint.h>\n"
    widths = WIDTHS["cortex-m" if target == "cortex-m" else "x86-64"]
    options = {"functions": functions, "target": target, "widths": widths}
    return includes + template.render(p="net", **options)


def compiled(functions: Sequence[str], target: str, folder: Path, *flags: str) -> ctypes.CDLL:
    """Return a library in which the functions, which are static in a network, are not."""
    source, library = folder / "kernels.c", folder / "kernels.so"
    text = laid_out(functions, target)
    source.write_text(re.sub("static (inline )?(?=void |float net_dot)", "", text))
    command = [*COMPILER, "-std=c99", "-O3", *flags, "-shared", "-fPIC", str(source), "-lm", "-o"]
    subprocess.run([*command, str(library)], check=True)
    return ctypes.CDLL(str(library))


def gcc_version() -> int:
    """Return the major version of the compiler if it is gcc, otherwise 0."""
    command = [*COMPILER, "-x", "c", "-E", "-dM", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    version = re.search(r"^#define __GNUC__ (\d+)", macros, re.MULTILINE)
    return int(version[1]) if version and "__clang__" not in macros else 0


KINDS = {
    "one version": ("portable", ["-DNET_DISPATCH=0"]),
    "the best version": ("portable", ["-DNET_DISPATCH=1"]),
    "native": ("portable", ["-march=native"]),
    "avx2": ("avx2", ["-march=native"]),
    "avx512": ("avx512", []),
    "cortex-m": ("cortex-m", []),
}
"""Targets with options of the compiler; source for wide registers is right with narrow ones too."""


@pytest.fixture(scope="module", params=KINDS)
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    target, flags = KINDS[request.param]
    suits = (sys.platform, platform.machine()) == ("linux", "x86_64") and gcc_version() >= 12
    if request.param == "the best version" and not suits:
        pytest.skip("only gcc 12 on x86-64 Linux has functions in several versions")
    functions = [*ACTIVATIONS.values(), "leaky_relus", "clipped_relus", "dot_int8", *PRODUCTS]
    return compiled(functions, target, tmp_path_factory.mktemp("kernels"), *flags)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """The target of the library that a test takes."""
    kind: str = request.node.callspec.params["library"]
    return KINDS[kind][0]


def call(function: Callable[..., object], *arguments: Array | float | None) -> None:
    def passed(argument: Array | float | None) -> object:
        match argument:
            case np.ndarray():
                return ctypes.c_void_p(argument.ctypes.data)
            case int():
                return ctypes.c_size_t(argument)
            case float():
                return ctypes.c_float(argument)
            case None:
                return ctypes.c_void_p(None)

    function(*map(passed, arguments))


def uses(functions: Sequence[str]) -> str:
    """Return a program that calls each function, so that none is unused."""
    arguments = {"leaky_relus": "a, 1, 0.1f", "clipped_relus": "a, 1, 6.0f"}
    for name in PRODUCTS:
        weights = "q, b" if name.endswith("int8") else "b"
        rows = "1, " if "rows" in name else ""
        arguments[name] = f"{weights}, c, a, {rows}1, 19, z"
    calls = [
        f"a[0] = net_{name}(a[0]);"
        if name in SINGLE
        else f"net_{name}({arguments.get(name, 'a, 1')});"
        for name in functions
    ]
    arrays = "static float a[64], b[64], c[64], z[64];\nstatic int8_t q[64];\n"
    touch = "z[0] = a[0] + b[0] + c[0] + (float)q[0];"
    return f"{arrays}int main(void) {{\n{touch}\n" + "\n".join(calls) + "\nreturn 0;\n}\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_warns(language: str, tmp_path: Path) -> None:
    command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not found")
    families = [
        [*ACTIVATIONS.values(), "leaky_relus", "clipped_relus"],
        *([name] for name in (*SINGLE, "relus", "product", "product_int8")),
        PRODUCTS,
    ]
    for functions, target in [
        *((family, "portable") for family in families),
        (PRODUCTS, "cortex-m"),
    ]:
        source = tmp_path / "kernels.c"
        source.write_text(laid_out(functions, target) + "\n" + uses(functions))
        # Where gcc knows all sizes, it has seen loops that might not end.
        for level in ("-O1", "-O3"):
            output = [level, "-c", str(source), "-o", str(tmp_path / "kernels.o")]
            subprocess.run([*command, *WARNINGS, *output], check=True)


ERRORS = """
#include <math.h>
#include <stdio.h>

static double error(float y, double exact) {
    if (isnan(exact)) {
        return isnan(y) ? 0.0 : INFINITY;
    }
    const float nearest = (float)exact;
    if (isinf(nearest) || isinf(y)) {
        return nearest == y ? 0.0 : INFINITY;
    }
    int exponent;
    frexp(fmax(fabs(exact), 0x1p-126), &exponent);
    return fabs((double)y - exact) / ldexp(1.0, exponent - 24);
}

enum { SIZE = 4096 };

int main(void) {
    static float x[SIZE], y[3][SIZE];
    double worst[3] = {0.0, 0.0, 0.0};
    uint32_t bits = 0;
    for (int more = 1; more;) {
        for (int j = 0; j < SIZE; ++j) {
            const uint32_t magnitude = bits & 0x7fffffff;
            const int plain = magnitude < 0x30800000 || magnitude > 0x42dc0000;
            x[j] = net_float(bits);
            const uint32_t next = bits + (plain ? 6007 : STRIDE);
            more = more && next > bits;
            bits = next;
        }
        for (int j = 0; j < SIZE; ++j) {
            y[0][j] = net_exp(x[j]);
        }
        for (int j = 0; j < SIZE; ++j) {
            y[1][j] = net_tanh(x[j]);
        }
        for (int j = 0; j < SIZE; ++j) {
            y[2][j] = net_sigmoid(x[j]);
        }
        for (int j = 0; j < SIZE; ++j) {
            const double exact = exp((double)x[j]);
            worst[0] = fmax(worst[0], error(y[0][j], exact));
            worst[1] = fmax(worst[1], error(y[1][j], tanh((double)x[j])));
            const double logistic = 1.0 / (1.0 + exp(-(double)x[j]));
            const int tiny = logistic < 0x1p-126 && y[2][j] <= 0x1p-126f;
            worst[2] = fmax(worst[2], tiny ? 0.0 : error(y[2][j], logistic));
        }
    }
    printf("%.9g %.9g %.9g\\n", worst[0], worst[1], worst[2]);
    return 0;
}
"""
"""Prints the largest error of exp, tanh and sigmoid, in units in the last place.

It sees every STRIDE-th float between 2^-30 and 110, and fewer where the functions are plain.
Sigmoids below 2^-126 may be 0.
"""


@pytest.mark.parametrize("flags", ["", "-march=native"], ids=["portable", "native"])
def test_errors_in_the_last_place(flags: str, tmp_path: Path) -> None:
    source, program = tmp_path / "errors.c", tmp_path / "errors"
    source.write_text(laid_out(SINGLE) + ERRORS)
    options = [*shlex.split(flags), "-std=c99", "-O3", "-DSTRIDE=31", "-o", str(program)]
    subprocess.run([*COMPILER, *options, str(source), "-lm"], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    exp, tanh, sigmoid = map(float, printed.split())
    assert exp <= 1.1
    assert tanh <= 2.6
    assert sigmoid <= 2.5


def assert_close(values: Array, exact: Array, tolerance: float) -> None:
    # Infinities and NaN must be where the reference has them.
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(values, exact.astype(np.float32), rtol=tolerance, atol=tolerance)


@cases(
    "activation",
    [
        *ACTIVATIONS,
        nodes.LeakyRelu(slope=0.1),
        nodes.LeakyRelu(slope=2.5),
        nodes.ClippedRelu(limit=6.0),
    ],
)
def test_activations(library: ctypes.CDLL, activation: nodes.Activation) -> None:
    for size in (1, 3, 16, 1000):
        values = np.random.default_rng(size).normal(0.0, 6.0, size).astype(np.float32)
        if size == 1000 and activation not in {"softmax", "log_softmax"}:
            values[: len(SPECIAL)] = SPECIAL
        with np.errstate(all="ignore"):
            exact = activate(values.astype(np.float64), activation)
        match activation:
            case nodes.LeakyRelu(slope=slope):
                call(library.net_leaky_relus, values, size, slope)
            case nodes.ClippedRelu(limit=limit):
                call(library.net_clipped_relus, values, size, limit)
            case _:
                call(library[f"net_{ACTIVATIONS[activation]}"], values, size)
        assert_close(values, exact, 1e-6)


EXTREMES = [
    *([-np.inf] * 3, [np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0]),
    *([1e38, -1e38], [-np.inf, 0.0], [5]),
]


@cases("name, values", [*product(["softmax", "log_softmax"], EXTREMES)])
def test_softmax_of_extremes(
    library: ctypes.CDLL, name: Literal["softmax", "log_softmax"], values: list[float]
) -> None:
    vector = np.array(values, np.float32)
    with np.errstate(all="ignore"):
        exact = activate(vector.astype(np.float64), name)
    call(library[f"net_{name}"], vector, len(values))
    assert_close(vector, exact, 1e-6)


def in_groups(kernel: Array, target: str) -> Array:
    """Return a kernel (inputs, columns) as it is stored for a target."""
    ends = np.cumsum(group_columns(kernel.shape[1], target))
    return np.concatenate([group.reshape(-1) for group in np.split(kernel, ends[:-1], axis=1)])


@cases("kind, columns", [*product(["", "_int8"], [1, 2, 3, 4, 11, 16, 40, 64, 127, 160])])
def test_products(library: ctypes.CDLL, target: str, kind: str, columns: int) -> None:
    random, int8 = np.random.default_rng(columns), bool(kind)
    of_one, of_rows = library[f"net_product{kind}"], library[f"net_product_rows{kind}"]
    for inputs in (1, 2, 3, 5, 16, 41):
        # Without their scale, sums of int8 with large numbers would overflow.
        magnitude = np.float32(1e37 if int8 and inputs > 3 else 1.0)
        x = magnitude * random.normal(size=(7, inputs)).astype(np.float32)
        kernel = random.normal(size=(inputs, columns)).astype(np.float32)
        scale = np.ones(columns, np.float32)
        if int8:
            kernel = random.integers(-127, 128, (inputs, columns), np.int8)
            scale = random.uniform(0.001, 0.01, columns).astype(np.float32)
        exact = x.astype(np.float64) @ kernel.astype(np.float64) * scale
        first = magnitude * random.normal(size=columns).astype(np.float32)
        weights = [in_groups(kernel, target), *([scale] if int8 else [])]
        z = first.copy()  # the start may be in the place of the result
        call(of_one, *weights, z, x, inputs, columns, z)
        assert_close(z / magnitude, (exact[0] + first) / magnitude, 2e-6 * inputs)
        rows = np.full((8, columns), np.nan, np.float32)
        call(of_rows, *weights, first, x, 7, inputs, columns, rows)
        assert_close(rows[:7] / magnitude, (exact + first) / magnitude, 2e-6 * inputs)
        assert np.isnan(rows[7]).all()


def test_a_dot_product_with_int8_does_not_overflow(library: ctypes.CDLL) -> None:
    x, table = np.full(11, 1e37, np.float32), np.full(11, 127, np.int8)
    function = library.net_dot_int8
    function.restype = ctypes.c_float
    product = function(*(ctypes.c_void_p(a.ctypes.data) for a in (x, table)), ctypes.c_size_t(11))
    np.testing.assert_allclose(product, 11 * 127 * 1e37 / 2**32, rtol=1e-6)


def test_loops_are_vectorized(tmp_path: Path) -> None:
    # A branch in a function would make loops with it three times slower.
    if gcc_version() < 12:
        pytest.skip(f"{COMPILER[0]} is not gcc 12 or later")
    scalar = ("softmax", "log_softmax", "softpluses")
    functions = [name for name in ACTIVATIONS.values() if name not in scalar]
    functions += ["leaky_relus", "clipped_relus"]
    source = tmp_path / "kernels.c"
    source.write_text(re.sub("static (inline )?(?=void |float net_dot)", "", laid_out(functions)))
    options = ["-std=c99", "-O3", "-fopt-info-vec-optimized", "-c", str(source), "-o"]
    command = [*COMPILER, *options, str(tmp_path / "kernels.o")]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    vectorized = {int(line) for line in re.findall(r":(\d+):\d+: optimized: loop vec", report)}
    loops = [
        number
        for number, line in enumerate(source.read_text().splitlines(), start=1)
        if line.lstrip().startswith("for (")
    ]
    assert len(loops) == len(functions)
    assert not set(loops) - vectorized

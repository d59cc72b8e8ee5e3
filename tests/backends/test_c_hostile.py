"""C: no warnings, nothing read or written outside, and many networks in one program."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import cycle
from pathlib import Path
from random import Random

import pytest
from c_calls import calls
from covering import covering
from graphs import GRAPHS, IN_C
from small_networks import with_names

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import form_named, get, refusals
from rnnspec.backends.c.backend import TARGETS
from rnnspec_random.strategies import sample, spec_text, specs

FLAGS = "-pedantic -Wall -Wextra -Wconversion -Wdouble-promotion -Wshadow -Werror"
SANITIZERS = "-O0 -fsanitize=address,undefined -fno-sanitize-recover=all"
FORMS = ("inference", "step")
SAMPLE = 24
"""Random specs, of which the few are taken that together have all that any of them has."""
PAIR = """
version: 1
name: NAME
input: {features: 2}
rnn: [{type: dense, name: %s, units: 2}, {type: lstm, name: %s, units: 2}]
head: {pooling: none}
"""
PAIRS = {
    # A variable of one layer, and the function of another.
    "inference": {"one": PAIR % ("one_two", "two_out"), "thread": PAIR % ("local", "y")},
    # Together with the name of the network, words of C or C++.
    "step": {"int8": PAIR % ("t", "fast8_t"), "xor": PAIR % ("eq", "and_eq")},
}
MAIN = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float hostile[] = {0.0f,   1.0f,    -1.5f,  NAN,      INFINITY, -INFINITY,
                                1e-42f, -1e-38f, 3.4e38f, -3.4e38f, -0.0f};

static void expect(const char *what, int holds) {
    if (!holds) {
        printf("%s\\n", what);
        exit(1);
    }
}

static float *floats(size_t count, int kind, float mask) {
    float *x = (float *)malloc(count * sizeof(float));

    for (size_t i = 0; i < count; ++i) {
        x[i] = kind == 0 ? mask : kind == 1 ? hostile[i % 11] : hostile[i % 3];
    }
    return x;
}

static int32_t *tokens(size_t count, int kind, int32_t vocabulary) {
    int32_t *x = (int32_t *)malloc(count * sizeof(int32_t));

    for (size_t i = 0; i < count; ++i) {
        x[i] = kind < 2 ? 0 : (int32_t)((i * 7 + (size_t)kind) % (size_t)vocabulary);
    }
    return x;
}
"""


def require(*names: str) -> str:
    """Return the first compiler there is, or skip."""
    for name in names:
        if shutil.which(name):
            return name
    pytest.skip(f"no compiler: {' and '.join(names)} are not installed")


def run(words: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile a text that may include files of a folder, and link it unless told otherwise."""
    # Linkers read from left to right: a library must be behind what calls it.
    libraries = [] if {"-c", "-fsyntax-only"} & {*words.split()} else ["-lm"]
    return subprocess.run(
        [*words.split(), "-I", str(folder), "-", *libraries],
        input=text,
        capture_output=True,
        check=False,
        text=True,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return source in both forms by the names of the networks."""
    folder = tmp_path_factory.mktemp("specs")
    drawn = {f"{number}.yaml": words for number, words in enumerate(sample(specs(), SAMPLE))}
    for name, words in drawn.items():
        (folder / name).write_text(spec_text(words))
    sources = {}
    for form in FORMS:
        offered = [
            path
            for path in map(folder.joinpath, drawn)
            if not refusals(get("c"), pipeline.program(path).network, form_named(form))
        ]
        for path, target in zip(covering(offered), cycle(TARGETS)):
            name = f"{form}_{path.stem}"
            spec = rnnspec.loads(spec_text(drawn[path.name] | {"name": name}))
            sources[name] = with_numbers(rnnspec.codegen(spec, "c", form=form, target=target))
        for text in (*GRAPHS, *IN_C):
            name = f"{form}_{rnnspec.loads(text).name}"
            spec = rnnspec.loads(re.sub("(?<=\nname: ).*", name, text))
            if not refusals(get("c"), pipeline.program(spec).network, form_named(form)):
                sources[name] = with_numbers(rnnspec.codegen(spec, "c", form=form))
        own_names = {f"{form}_names": with_names(f"{form}_names", form), **PAIRS.get(form, {})}
        for name, text in own_names.items():
            spec = rnnspec.loads(text.replace("NAME", name))
            sources[name] = with_numbers(rnnspec.codegen(spec, "c", form=form))
    return sources


ALIGNED = """
version: 1
name: NAME
input: {features: 8}
rnn:
- {type: conv, filters: 16, kernel_size: 3, padding: causal}
- {type: lstm, units: 16}
- {type: gru, units: 16}
- {type: gru, units: 16, reset_after: false}
- {type: simple, units: 16}
head: {hidden: [{type: layer_norm}], units: 8, normalize: l2}
"""
TIED_TO_WORDS = """
version: 1
name: NAME
embedding: {vocabulary: 8, dim: 16}
rnn: {type: lstm, units: 16, recurrent_activation: hard_sigmoid}
head: {pooling: none, units: 8, tied: true, activation: softmax}
"""


@pytest.fixture(scope="module")
def layouts() -> dict[str, str]:
    """Return source with each kernel by the names of the networks.

    All columns are in groups of one width: compilers know then that none is left behind a loop.
    """
    sources = {}
    for number, (text, target, quantize, form) in enumerate(
        [
            (ALIGNED, "portable", None, "step"),
            (ALIGNED, "avx2", None, "inference"),
            (ALIGNED, "avx512", "int8", "inference"),
            (ALIGNED, "cortex-m", "int8", "step"),
            (TIED_TO_WORDS, "portable", "int8", "inference"),
            (TIED_TO_WORDS, "portable", None, "step"),
        ]
    ):
        spec = rnnspec.loads(text.replace("NAME", f"net_{number}"))
        options = {"target": target, **({"quantize": quantize} if quantize else {})}
        source = pipeline.generate(pipeline.program(spec), get("c"), form_named(form), options)
        sources[spec.name] = source.text
    return sources


def with_numbers(text: str) -> str:
    """Return a text in which small arrays, which are zeros, are numbers from -1 to 1."""
    draw = Random(1)

    def numbers(match: re.Match[str]) -> str:
        values = (f"{draw.uniform(-1, 1):.6f}f" for _ in range(int(match[2])))
        return f"{match[1]}[{match[2]}] = {{{', '.join(values)}}};"

    floats = re.compile(
        r"^((?:\w+_ALIGNED )?static const float \w+)\[(\d{1,4})\] = \{0\};", re.MULTILINE
    )
    return floats.sub(numbers, text)


def program(networks: dict[str, str]) -> str:
    """Return a program that calls all networks."""
    defined = "".join(
        f"#define {name.upper()}_IMPLEMENTATION\n{text}" for name, text in networks.items()
    )
    checks = "".join(f"    {name}_check();\n" for name in networks)
    checked = "".join(calls(name, text) for name, text in networks.items())
    return f"{MAIN}{defined}{checked}\nint main(void) {{\n{checks}    return 0;\n}}\n"


@pytest.mark.parametrize(
    "words",
    ["gcc -std=c99 -O1", "clang -std=c99 -fsyntax-only", "g++ -x c++ -std=c++11 -fsyntax-only"],
    ids=lambda words: words.partition(" ")[0],
)
def test_no_compiler_warns(words: str, networks: dict[str, str], tmp_path: Path) -> None:
    require(words.partition(" ")[0])
    done = run(
        f"{words} {FLAGS} -c -x {'c++' if '++' in words else 'c'}", program(networks), tmp_path
    )
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.parametrize("level", ["-O2", "-O3", "-Os"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_no_level_of_optimization_warns(
    name: str, level: str, layouts: dict[str, str], tmp_path: Path
) -> None:
    require(name)
    words = f"{name} -std=c99 {FLAGS} {level} -c -o /dev/null -x c"
    done = run(words, program(layouts), tmp_path)
    assert done.returncode == 0, done.stderr[:3000]


def test_hostile_calls_reach_nothing_outside(networks: dict[str, str], tmp_path: Path) -> None:
    # Clang compiles this in half the time.
    name = require("clang", "gcc", "cc")
    words = f"{name} -std=c99 {FLAGS} {SANITIZERS} -o hostile -x c"
    done = run(words, program(networks), tmp_path)
    assert done.returncode == 0, done.stderr[:3000]
    done = subprocess.run([tmp_path / "hostile"], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[:3000]


def test_nothing_is_included_but_what_is_promised(networks: dict[str, str]) -> None:
    included = {
        header for text in networks.values() for header in re.findall("#include <(.*)>", text)
    }
    assert included == {"stddef.h", "stdint.h", "string.h", "math.h"}


SMALL = """
version: 1
name: %s
input: {features: 2}
rnn: {type: %s, units: 3}
head: {units: 1}
"""
UNIT = '#define %s_IMPLEMENTATION\n#include "one.h"\n#include "two.h"\n'
CALLS = """
int main() {
    const float x[8] = {0};
    float workspace[ONE_WORKSPACE], y[1];
    two_state state;

    two_reset(&state);
    return one_run(x, 4, y, workspace) + two_chunk(&state, x, 4, y);
}
"""


def test_a_program_of_c_and_cpp_has_two_networks(tmp_path: Path) -> None:
    for name, type_, form in [("one", "lstm", "inference"), ("two", "gru", "step")]:
        text = rnnspec.codegen(rnnspec.loads(SMALL % (name, type_)), "c", form=form)
        (tmp_path / f"{name}.h").write_text(text)
    units = [("gcc -std=c99 -x c", "ONE", ""), ("g++ -std=c++11 -x c++", "TWO", CALLS)]
    for words, name, more in units:
        require(words.partition(" ")[0])
        done = run(f"{words} {FLAGS} -c -o {name}.o", UNIT % name + more, tmp_path)
        assert done.returncode == 0, done.stderr
    subprocess.run(["g++", "ONE.o", "TWO.o", "-o", "both"], check=True, cwd=tmp_path)
    assert subprocess.run([tmp_path / "both"], check=False).returncode == 0

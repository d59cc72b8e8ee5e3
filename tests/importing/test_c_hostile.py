"""C source that came in: it is read as data, and what is compiled is written anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from cases import cases
from cli.conftest import _own_folder
from offered import require

from rnnspec import backends, pipeline, saving
from rnnspec.backends.c import compiler
from rnnspec.errors import RnnspecError, UsageError
from rnnspec.importing.original import compare_file
from rnnspec.importing.run import take
from rnnspec.ir.forms import Form
from rnnspec.weights.initial import draw_scaled

__all__ = ["_own_folder"]

Change = Callable[[str], str]
SPEC = """\
version: 1
name: net
input: {features: 2}
rnn: {type: gru, units: 3}
head: {units: 2}
"""
# A tab, spaces that do not show or end a line, and what a comment must not have.
ODD = """\
version: 1
name: net #\ta\u00a0comment */ /* ??/ \\ \\x41 *\\/ \u00ad \U0001f9d1
description: "Target: avx2.\\nArrays: \\
  zeros; */ /*"
input: {features: 2}
  # \t
rnn: {type: gru, units: 3}
head: {units: 2} \n"""
RUN = (
    "__attribute__((constructor)) static void pwn(void) "
    '{ extern int system(const char *); system("touch ran"); }'
)
DIGRAPHS = RUN.replace("{", "<%").replace("}", "%>")
TRIGRAPHS = RUN.replace("{", "??<").replace("}", "??>")
BIAS = "static const float net_dense_1_bias[2] = {\n"
TEST = "static const float net_test_y[2] = {\n"


def written(text: str = SPEC, form: Form = "inference", folder: Path = Path("net")) -> Path:
    """Return a folder of source with numbers."""
    program, backend = pipeline.reads(text), backends.get("c")
    generated = pipeline.generate(program, backend, form)
    model = pipeline.instantiate(generated, drawn=False)
    drawn = draw_scaled(program.network, 1)
    generated.store.write(model, {name: array.astype("f4") for name, array in drawn.items()})
    folder.mkdir()
    saving.write(generated, model, folder, text)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the texts of the header and the source, and of a single header."""
    require("c")
    folder = written(folder=tmp_path_factory.mktemp("texts") / "net")
    parts = {part: (folder / part).read_text() for part in ("net.h", "net.c")}
    backends.get("c").runtime.unite(folder, "net")
    return parts | {"whole": (folder / "net.h").read_text()}


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what reaches the compiler."""
    reached, compile_library = list[str](), compiler.compile_library

    def record(text: str) -> bytes:
        reached.append(text)
        return compile_library(text)

    monkeypatch.setattr(compiler, "compile_library", record)
    return reached


def swap(old: str, new: str) -> Change:
    """Return what puts ``new`` in place of the first ``old``."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def numbers(new: str, declared: str = BIAS) -> Change:
    """Return what puts other text between the braces of an array."""
    return lambda text: re.sub(
        rf"({re.escape(declared)})[^}}]*", lambda match: match[1] + new + "\n", text, count=1
    )


def number(new: str, declared: str = BIAS) -> Change:
    """Return what puts other text in place of the first number of an array."""
    return lambda text: re.sub(
        rf"({re.escape(declared)} *)[^,]*", lambda match: match[1] + new, text, count=1
    )


ATTACKS: dict[str, Change] = {
    "comment ends in the spec": swap(" * version: 1\n", f" * # */ {RUN} /*\n * version: 1\n"),
    "spliced end in the spec": swap(" * version: 1\n", f" * # *\\\n/ {RUN} /*\n * version: 1\n"),
    "trigraph end in the spec": swap(" * version: 1\n", f" * # *??/\n/ {RUN} /*\n * version: 1\n"),
    "carriage return in the spec": swap(
        " * version: 1\n", f" * # *\\\r/ {RUN} /*\n * version: 1\n"
    ),
    "escapes in the spec": swap("name: net", "name: ne\\x74"),
    "surrogate in the spec": swap("name: net", "name: net # \\ud800"),
    "python in the spec": swap("type: gru", "type: !!python/name:os.system gru"),
    "name in the spec": swap("name: net", "name: net*/{}"),
    "other network in the spec": swap("units: 3}", "units: 2000}"),
    "vectors in the spec": swap(
        "input: {features: 2}", "embedding: {vocabulary: 3, dim: 2, weights: /etc/passwd}"
    ),
    "code behind the spec": swap("\n#include <string.h>", f"\n{RUN}\n#include <string.h>"),
    "include of a device": swap("#include <string.h>", '#include "/dev/zero"'),
    "comment ends in the description": swap(" * Input:", f" * */ {RUN} /*\n * Input:"),
    "comment ends in the title": swap("/* net,", f"/* net */ {RUN} /*,"),
    "comment ends in the target": swap("Target: portable.", f"Target: portable. */ {RUN} /*"),
    "unknown target": swap("Target: portable.", "Target: portables."),
    "code in the version": swap("from rnnspec ", f"from rnnspec */ {RUN} /* "),
    "version in the description": lambda text: (
        re.sub("from rnnspec .*", "from rnnspec 9.", text, count=1)
        + " * Arrays: SHA-256 1, from rnnspec 9.\n"
    ),
    "other checksum": lambda text: re.sub("SHA-256 .", "SHA-256 !", text, count=1),
    "code before": lambda text: RUN + "\n" + text,
    "code behind": lambda text: text + RUN + "\n",
    "byte order mark": lambda text: "\ufeff" + text,
    "null character": swap("Input:", "Input:\0"),
    "constant": swap("_MAX_STEPS 512", "_MAX_STEPS 512 + system(0)"),
    "no constant": lambda text: re.sub("#define NET_MAX_STEPS.*\n", "", text, count=1),
    "long constant": swap("_MAX_STEPS 512", "_MAX_STEPS 999999999999"),
    "negative constant": swap("_WORKSPACE ", "_WORKSPACE -"),
    "attribute in a comment of an array": swap("/* dense_1.bias (2)", f"/* */ {RUN} /* (2)"),
    "attribute in an array": numbers(f"0.0f, 1.0f}};\n{RUN}\nstatic const float z[1] = {{0.0f"),
    "digraphs in an array": numbers(f"0.0f, 1.0f %>; {DIGRAPHS} static const float z[1] = <% 0"),
    "digraphs in the self-test": numbers(
        f"0.0f, 1.0f %>; {DIGRAPHS} static const float z[1] = <% 0", TEST
    ),
    "digraphs in a number": number(f"0 %>; {DIGRAPHS} static const float z[2] = <% 0"),
    "trigraphs in an array": numbers(f"0.0f, 1.0f ??>; {TRIGRAPHS} static const float z[] = ??< 0"),
    "include in an array": numbers('0.0f, 1.0f\n#include "/dev/zero"'),
    "pragma in an array": numbers('_Pragma("GCC poison memcpy") 0.0f, 1.0f'),
    "assembler in an array": numbers('0.0f, ({ __asm__("ud2"); 1.0f; })'),
    "call in an array": numbers("0.0f, __builtin_expf(1)"),
    "array twice": lambda text: text.replace(BIAS, f"{BIAS}    1.0f, 1.0f\n}};\n{BIAS}"),
    "array missing": swap(BIAS, "static const float net_other[2] = {\n"),
    "array without an end": lambda text: text[: text.index(BIAS) + len(BIAS)],
    "huge array": swap("net_dense_1_bias[2]", "net_dense_1_bias[9999999999999]"),
    "negative array": swap("net_dense_1_bias[2]", "net_dense_1_bias[-2]"),
    "nested braces": numbers("{0.0f}, {1.0f}"),
    "designated number": number("[0] = 1.0f"),
    **{
        f"number {word:.9}": number(word)
        for word in (
            *("1e999f", "-1e999f", "nanf", "inff", "0x1p0f", "1_0.0f", "0.50f", "1", "-", "", "٣"),
            "1" * 100_000,
        )
    },
    **{f"line in the spec {word!r}": swap(" * rnn:", f"{word}\n * rnn:") for word in ("\\", " */")},
}
OF_PARTS: dict[str, tuple[str, Change]] = {
    "code before the header is included": ("net.c", lambda text: RUN + "\n" + text),
    "other header": ("net.c", swap('"net.h"', '"/dev/zero"')),
    "code behind the source": ("net.c", lambda text: text + RUN + "\n"),
    "code behind the header": ("net.h", lambda text: text + RUN + "\n"),
    "code in the header": ("net.h", swap("#include <stdint.h>", f"#include <stdint.h>\n{RUN}")),
}


def check_refused(path: Path, compiled: list[str]) -> None:
    with pytest.raises(RnnspecError) as caught:
        compare_file(path, take(path), lambda _: None)
    assert not Path("ran").exists()
    assert compiled == []
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1500


@cases("change", ATTACKS)
def test_a_changed_header_is_refused(
    change: Change, texts: dict[str, str], compiled: list[str]
) -> None:
    changed = change(texts["whole"])
    assert changed != texts["whole"]
    Path("net.h").write_bytes(changed.encode())
    check_refused(Path("net.h"), compiled)


@cases(("part", "change"), OF_PARTS)
def test_a_changed_pair_is_refused(
    part: str, change: Change, texts: dict[str, str], compiled: list[str]
) -> None:
    for name in ("net.h", "net.c"):
        Path(name).write_text(texts[name])
    Path(part).write_text(change(texts[part]))
    check_refused(Path("net.h"), compiled)


@cases("content", [b"\xff\xfe", b"", b"\0" * 9, "not utf-8: \xe9".encode("latin-1")])
def test_what_is_no_source_is_refused(content: bytes, compiled: list[str]) -> None:
    Path("net.h").write_bytes(content)
    check_refused(Path("net.h"), compiled)


@cases("part, source", list(product(("net.h", "net.c"), ("net", "net/net.h"))))
def test_no_device_is_read(part: str, source: str, texts: dict[str, str]) -> None:
    Path("net").mkdir(exist_ok=True)
    Path("net/net.h").write_text(texts["net.h"])
    for put in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        Path("net", part).unlink(missing_ok=True)
        put(Path("net", part))
        with pytest.raises(UsageError, match=f"^net/{part}: error: expected a regular file$"):
            take(Path(source))
    Path("net", part).unlink()


@pytest.mark.parametrize("form", ["inference", "step"])
def test_what_is_compiled_is_written_anew(form: Form, compiled: list[str]) -> None:
    require("c")
    folder = written(ODD, form)
    compiled.clear()
    # Git may change the ends of lines; another one may lie in place of the file by then.
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    taken = take(folder / "net.h")
    assert (taken.text, compiled) == (ODD, [])
    text = taken.imported.text
    for path in folder.iterdir():
        path.write_text(RUN)
    assert str(compare_file(folder / "net.h", taken, lambda _: None)).startswith("compared with ")
    # Beside what shows the inputs of layers, and makes arrays that can be written.
    (reached,) = (
        re.sub(r"^    rnnspec_see\(.*\n", "", each, flags=re.MULTILINE) for each in compiled
    )
    assert text.replace("static const", "static") in reached.replace("static const", "static")
    assert not Path("ran").exists()


@pytest.mark.parametrize("names", [("net.h", "net.c"), ("whole",)])
def test_what_another_version_wrote_is_read(names: tuple[str, ...], texts: dict[str, str]) -> None:
    require("c")
    for name in names:
        newer = re.sub("from rnnspec .*", "from rnnspec 1.2.3rc1.", texts[name], count=1)
        assert (newer != texts[name]) == (name != "net.c")
        Path(name.replace("whole", "net.h")).write_text(newer)
    assert str(compare_file(Path("net.h"), take(Path("net.h")), lambda _: None))


def test_a_header_beside_the_program_that_includes_it(texts: dict[str, str]) -> None:
    Path("net.h").write_text(texts["whole"])
    Path("net.c").write_text('#define NET_IMPLEMENTATION\n#include "net.h"\nint main() {}\n')
    assert take(Path("net.h")).text == SPEC


@cases(
    "line",
    [
        "/* The spec:\n",
        " */* The spec:\n",
        "static const float a[1] = {\n",
        BIAS,
        "\\",
        "1",
    ],
)
def test_megabytes_of_what_is_searched(line: str, texts: dict[str, str]) -> None:
    # With a search that begins again at each of them, this would take minutes.
    repeated = line * (2**19 // len(line)) + "}\n"
    for place in (" * version: 1\n", BIAS):
        Path("net.h").write_text(swap(place, place + repeated)(texts["whole"]))
        with pytest.raises(RnnspecError):
            take(Path("net.h"))


def test_a_spec_of_two_hundred_kilobytes() -> None:
    require("c")
    text = SPEC + "# a comment\n" * 20_000
    assert take(written(text) / "net.h").text == text

"""Hostile calls of a network in C, made from what its header says.

Every buffer is exactly as large as the header says, so that the sanitizers see one float too much.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from string import Template

RUN = Template("""
static void ${net}_check(void) {
    for (int kind = 0; kind < 3; ++kind) {
        for (size_t length = 0; length < 6; ++length) {
            $lengths
            const int fits = $fits;
            const size_t sizes[] = {$sizes};
            float *y[2][$heads];
            $arrays

            (void)length;
            /* The outputs must not depend on what was in the workspace. */
            for (int again = 0; again < 2; ++again) {
                float *workspace = floats(${cap}_WORKSPACE, again, 1e30f);

                for (size_t i = 0; i < $heads; ++i) {
                    y[again][i] = fits ? floats(sizes[i], 0, 0.0f) : NULL;
                }
                expect("$net: a length", ${net}_run($arguments, $outputs, workspace) == $status);
                if (fits && again) {
                    $bad
                }
                free(workspace);
            }
            for (size_t i = 0; i < $heads; ++i) {
                expect("$net: its workspace",
                       !fits || memcmp(y[0][i], y[1][i], sizes[i] * sizeof(float)) == 0);
                free(y[0][i]);
                free(y[1][i]);
            }
            $free
        }
    }
    {
        /* Nothing may be read or written. */
        float *workspace = floats(${cap}_WORKSPACE, 0, 0.0f);

        $none
        free(workspace);
    }
}
""")
STEP = Template("""
static void ${net}_check(void) {
    for (int kind = 0; kind < 3; ++kind) {
        const size_t steps = 19 + $delay;
        const size_t sizes[] = {$sizes}, widths[] = {$widths};
        float *y[2][$heads];
        ${net}_state *state = (${net}_state *)malloc(sizeof(${net}_state));
        ${net}_state *other = (${net}_state *)malloc(sizeof(${net}_state));
        $lengths
        $arrays

        for (size_t i = 0; i < $heads; ++i) {
            y[0][i] = floats(sizes[i], 0, 0.0f);
            y[1][i] = floats(widths[i], 0, 0.0f);
        }
        memset(state, 255, sizeof *state);
        memset(other, 1, sizeof *state);
        $begin
        {
            const int again = 0;

            expect("$net: no step", ${net}_chunk(state, $x, 0, $outputs) == ${cap}_BAD_LENGTH);
            expect("$net: a chunk", ${net}_chunk(state, $x, steps, $outputs) == ${cap}_OK);
        }
        for (size_t t = 0; t < steps; ++t) {
            const int again = 1, expected = t + 1 > $delay ? ${cap}_OK : $waits;

            expect("$net: a step", ${net}_step(other, $rows, $outputs) == expected);
        }
        for (size_t i = 0; i < $heads; ++i) {
            expect("$net: steps of a chunk", memcmp(y[0][i] + sizes[i] - widths[i], y[1][i],
                                                    widths[i] * sizeof(float)) == 0);
        }
        expect("$net: its state", memcmp(state, other, sizeof *state) == 0);
        {
            const int again = 1;

            (void)again;
            $bad
        }
        expect("$net: a state that stays", memcmp(state, other, sizeof *state) == 0);
        for (size_t i = 0; i < $heads; ++i) {
            free(y[0][i]);
            free(y[1][i]);
        }
        free(state);
        free(other);
        $free
    }
}
""")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function: its symbol, and its type without the qualifiers."""

    symbol: str
    kind: str


class Header:
    """The interface of a network."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.cap = name, name.upper()
        self.text = text.partition("_IMPLEMENTATION\n\n")[0].partition(f"#define {self.cap}_OK")[2]
        self.words = re.sub(r"\s+(?:\* )?", " ", self.text)
        self.constants = dict(re.findall(rf"#define {self.cap}_(\w+) +(\d+) ", self.text))
        masks = re.findall(r"a step of\s+(?:\* )?(\S+)\s+(?:\* )?alone is padding", text)
        self.mask = f"{float(masks[0]) if masks else 0.0}f"

    def parameters(self, function: str) -> list[Parameter]:
        """Return the parameters of a function, empty if there is no such function."""
        found = re.search(rf"^\w+ {self.name}_{function}\(([^;]*)\);", self.text, re.MULTILINE)
        return [
            Parameter(symbol, kind.removeprefix("const "))
            for kind, symbol in re.findall(r"\s*([\w ]+ \*?)(\w+)", found[1] if found else "")
        ]

    @cached_property
    def begins(self) -> bool:
        """True if a sequence begins with other inputs."""
        return bool(self.parameters("begin"))

    @cached_property
    def streams(self) -> list[Parameter]:
        """The inputs that come in chunks."""
        parameters = self.parameters("chunk")[1:]
        return [*takewhile(lambda parameter: parameter.symbol != "steps", parameters)]

    @cached_property
    def inputs(self) -> list[Parameter]:
        """The inputs of a whole sequence, and their numbers of steps."""
        every = self.parameters("begin") if self.streams else self.parameters("run")
        named = [p for p in every if p.symbol not in ("state", "workspace")]
        return [p for p in named if not re.fullmatch("y(?:_.*)?", p.symbol)]

    @cached_property
    def outputs(self) -> list[str]:
        """The pointers of the outputs."""
        symbols = [p.symbol for p in self.parameters("chunk" if self.streams else "run")]
        return [symbol for symbol in symbols if re.fullmatch("y(?:_.*)?", symbol)]

    def size(self, symbol: str) -> str:
        """Return the number of elements of an array in C."""
        found = re.search(
            rf"(?<![\w*]){symbol} (?:is )?((?:[\w()+\-/?:]| (?!number))+)", self.said(symbol)
        )
        assert found, symbol
        if tokens := re.fullmatch(r"a token for each (?:step|of (\w+) steps)", found[1]):
            return tokens[1] or "steps"
        size, after = found[1].replace(" x ", " * "), found.string[found.end() :]
        late = re.match(r" numbers? for each step after the first (\w+)", after)
        return f"(steps - {late[1]}) * {size}" if late else size

    def said(self, symbol: str) -> str:
        """Return the comment that says the sizes of a parameter."""
        first = {parameter.symbol for parameter in self.inputs}
        start = "Take several steps" if self.streams else "Run a sequence"
        start = "Begin a sequence" if self.streams and symbol in first else start
        return self.words.partition(f"{start}")[2]

    def vocabulary(self, symbol: str) -> str:
        """Return the constant with the number of tokens of an input."""
        names = (f"{symbol.rstrip('_').upper()}_VOCABULARY", "VOCABULARY")
        return f"{self.cap}_{next(name for name in names if name in self.constants)}"

    def limits(self, steps: str) -> tuple[str, str]:
        """Return the constants with the least and the most steps."""
        first = "" if steps == "steps" else f"{steps.removesuffix('_steps').upper()}_"
        return f"{self.cap}_{first}MIN_STEPS", f"{self.cap}_{first}MAX_STEPS"

    @property
    def words_of_all(self) -> dict[str, str]:
        """The words that both functions have."""
        lengths, arrays, frees = [], [], []
        for parameter in (*self.inputs, *self.streams):
            symbol, kind = parameter.symbol, parameter.kind
            if kind.strip() == "size_t":
                least, most = self.limits(symbol)
                if self.streams:
                    lengths.append(f"const size_t {symbol} = {most} < 17 ? {most} : 17;")
                else:
                    values = f"{{{least}, {least} + 1, 16, 17, 33, {most}}}"
                    lengths.append(f"const size_t {symbol}_of[] = {values};")
                    lengths.append(f"const size_t {symbol} = {symbol}_of[length];")
                continue
            size = self.size(symbol) if "*" in kind else "1"
            call = f"floats({size}, kind, {self.mask})"
            if "int32_t" in kind:
                call = f"tokens({size}, kind, {self.vocabulary(symbol)})"
            pointer = symbol if "*" in kind else f"{symbol}_of"
            arrays.append(f"{kind.partition(' ')[0]} *{pointer} = {call};")
            if "*" not in kind:
                arrays.append(f"const int32_t {symbol} = {pointer}[0];")
            frees.append(f"free({pointer});")
        return {
            "net": self.name,
            "cap": self.cap,
            "heads": str(len(self.outputs)),
            "sizes": ", ".join(map(self.size, self.outputs)),
            "outputs": ", ".join(f"y[again][{index}]" for index in range(len(self.outputs))),
            "lengths": "\n".join(lengths),
            "arrays": "\n".join(arrays),
            "free": "\n".join(frees),
        }


def calls(name: str, text: str) -> str:
    """Return a function that calls a network."""
    header = Header(name, text)
    return _step(header) if header.streams else _run(header)


def _run(header: Header) -> str:
    words = header.words_of_all
    symbols = [parameter.symbol for parameter in header.inputs]
    limits = {p.symbol: header.limits(p.symbol) for p in header.inputs if "size_t" in p.kind}
    fits = [f"{steps} >= {least} && {steps} <= {most}" for steps, (least, most) in limits.items()]
    call = f"{header.name}_run({{}}, {words['outputs']}, workspace)"
    bad = _bad_tokens(header, call)
    none = []
    for steps, (least, most) in limits.items():
        for value in (f"{least} - 1", f"{most} + 1", "(size_t)-1"):
            values = {
                p.symbol: "NULL" if "*" in p.kind else limits.get(p.symbol, ("0",))[0]
                for p in header.inputs
            }
            inputs = ", ".join((values | {steps: value}).values())
            outputs = ", ".join([*(["NULL"] * len(header.outputs)), "workspace"])
            none.append(
                f'expect("{header.name}: no step", '
                f"{header.name}_run({inputs}, {outputs}) == {header.cap}_BAD_LENGTH);"
            )
    length = f"(fits ? {header.cap}_OK : {header.cap}_BAD_LENGTH)" if fits else f"{header.cap}_OK"
    return RUN.substitute(
        words,
        fits=" && ".join(fits) or "1",
        status=length,
        arguments=", ".join(symbols),
        bad="\n".join(bad),
        none="\n".join(none),
    )


def _bad_tokens(header: Header, call: str) -> list[str]:
    """Return the statements that call a function with wrong tokens, of which it takes none."""
    bad, symbols = list[str](), [parameter.symbol for parameter in header.inputs]
    for parameter in header.inputs:
        if "int32_t" not in parameter.kind:
            continue
        symbol = parameter.symbol
        for value in ("-1", "INT32_MIN", "INT32_MAX", header.vocabulary(symbol)):
            refuse = f'expect("{header.name}: a token", {call} == {header.cap}_BAD_TOKEN);'
            if "*" in parameter.kind:
                last = f"{symbol}[{header.size(symbol)} - 1]"
                bad += [f"{last} = {value};", refuse.format(", ".join(symbols)), f"{last} = 0;"]
            else:
                others = [value if one == symbol else one for one in symbols]
                bad.append(refuse.format(", ".join(others)))
    return bad


def _step(header: Header) -> str:
    words, name = header.words_of_all, header.name
    x = ", ".join(stream.symbol for stream in header.streams)
    begin, bad, more = [], list[str](), ""
    if any(parameter.symbol == "workspace" for parameter in header.parameters("begin")):
        words["arrays"] += f"\nfloat *workspace = floats({header.cap}_WORKSPACE, 0, 1e30f);"
        words["free"] += "\nfree(workspace);"
        more = ", workspace"
    symbols = [parameter.symbol for parameter in header.inputs]
    for state in ("state", "other"):
        start = f"{name}_begin({', '.join([state, *symbols])}{more})"
        begin.append(
            f'expect("{name}: begin", {start} == {header.cap}_OK);'
            if header.begins
            else f"{name}_reset({state});"
        )
    if header.begins:
        bad += _bad_tokens(header, f"{name}_begin(state, {{}}{more})")
    for parameter in header.inputs:
        if "size_t" in parameter.kind:
            for value in ("0", f"{header.limits(parameter.symbol)[1]} + 1"):
                others = [value if one == parameter.symbol else one for one in symbols]
                start = f"{name}_begin(state, {', '.join(others)}{more})"
                bad.append(f'expect("{name}: steps", {start} == {header.cap}_BAD_LENGTH);')
    for symbol in (stream.symbol for stream in header.streams if "int32_t" in stream.kind):
        for value in ("-1", "INT32_MIN", "INT32_MAX", header.vocabulary(symbol)):
            for function, at, count in (("step", "0", ""), ("chunk", "steps - 1", "steps, ")):
                call = f"{name}_{function}(state, {x}, {count}{words['outputs']})"
                refuse = f'expect("{name}: a token", {call} == {header.cap}_BAD_TOKEN);'
                bad += [f"{symbol}[{at}] = {value};", refuse, f"{symbol}[{at}] = 0;"]
    delays = [value for name, value in header.constants.items() if name.endswith("DELAY")]
    rows = []
    for stream in header.streams:
        *_, width = header.size(stream.symbol).split(" * ")
        rows.append(f"{stream.symbol} + t * {'1' if width == 'steps' else width}")
    return STEP.substitute(
        words,
        x=x,
        rows=", ".join(rows),
        widths=", ".join(header.size(head).split(" * ")[-1] for head in header.outputs),
        delay=max(delays, key=int, default="0"),
        waits=f"{header.cap}_{'NO_OUTPUT' if delays else 'OK'}",
        begin="\n".join(begin),
        bad="\n".join(bad),
    )

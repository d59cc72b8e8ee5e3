"""The record of the C backend, and its options."""

from rnnspec.backends.base import Backend
from rnnspec.backends.c.compiler import command, version
from rnnspec.backends.contract import QUANTIZE, Option
from rnnspec.errors import listed
from rnnspec.ir.forms import Form
from rnnspec.ir.nodes import Network, SequenceInput, least_steps
from rnnspec.ir.params import counts

TARGETS = ("portable", "avx2", "avx512", "cortex-m")
"""The kinds of processor; source is for the first one if nobody asks for another."""
MOST_IN_TEXT = 2**18
"""The parameters that files have in their text: gcc 12 takes 0.6 s and 83 MB for as many floats."""
_MOST_IN_TEXT = 2**23
"""The most that they may have there. Each takes about 12 characters, which compilers keep."""


def _refuse_steps(network: Network, form: Form, steps: int) -> str:
    """Return why source cannot have a longest sequence, empty if it can."""
    sequences = [
        network_input
        for network_input in network.inputs
        if isinstance(network_input, SequenceInput)
    ]
    if form == "step":
        sequences = [sequence for sequence in sequences if sequence.name not in network.streams]
        if not sequences:
            return "in step form, a sequence may have any number of steps"
    known = [sequence for sequence in sequences if sequence.steps is not None]
    if len(known) == len(sequences):
        lengths = [f"{network.key_of(source.name)}.length is {source.steps:,}" for source in known]
        what = f"{listed(lengths)} already" if known else "no input has steps"
        return f"{what}; leave max_steps out"
    if steps < (least := least_steps(network)):
        return f"expected at least {least:,}, received {steps:,}"
    return ""


def _refuse_text(network: Network, _form: Form, value: str) -> str:
    """Return why arrays cannot be numbers in the text, empty if they can."""
    total = counts(network).total
    if value == "blob" or total <= _MOST_IN_TEXT:
        return ""
    return f"{total:,} parameters are too many for text; at most {_MOST_IN_TEXT:,} fit"


OPTIONS = (
    QUANTIZE,
    Option(
        name="target",
        words="write source for a target",
        help=listed(TARGETS, "or"),
        kind=str,
        values=TARGETS,
        metavar="NAME",
    ),
    Option(
        name="max_steps",
        words="limit the steps of a sequence",
        help="the longest sequence, if input.length does not say it",
        kind=int,
        metavar="N",
        refusal=_refuse_steps,
    ),
    Option(
        name="weights",
        words="write arrays as {}",
        help=f"text, or blob (a file beside it), the default above {MOST_IN_TEXT:,} parameters",
        kind=str,
        values=("text", "blob"),
        metavar="KIND",
        refusal=_refuse_text,
        otherwise=(
            "it says where C has its arrays; 'rnnspec convert' takes trained ones, "
            "rnnspec.write_weights gives them to a model, and rnnspec.build takes a .safetensors "
            "file of rnnspec in place of its spec"
        ),
        replaces=(
            ("files", ("{name}.h", "{name}.c", "{name}.bin")),
            (
                "loading",
                (
                    '#include "{name}.h" /* in C or C++; compile it and {name}.c with -O3 */',
                    "/* {name}.bin has the arrays: compile with -I and its folder. */",
                    "/* To have them in {name}.c, build with --weights text. */",
                ),
            ),
        ),
    ),
    Option(
        name="single_header",
        words="write a single header",
        help="write a single header, which OUT says too if it ends in .h",
        kind=bool,
        commands=("build", "convert"),
        output="the path of the header",
        refusal=lambda network, form, _value: _refuse_text(network, form, "text"),
        replaces=(
            ("files", ("{name}.h",)),
            (
                "loading",
                (
                    "#define {macro}_IMPLEMENTATION /* in one source file of the program */",
                    '#include "{file}" /* in C or C++; compile with -O3 */',
                ),
            ),
        ),
    ),
)

C = Backend(
    name="c",
    title="C",
    package="rnnspec.backends.c",
    command=command,
    command_version=version,
    forms=("inference", "step"),
    level="forward",
    dtypes=("float32",),
    ending=".h",
    files=("{name}.h", "{name}.c"),
    reads_files=False,
    options=OPTIONS,
    quantizes_source=True,
    loading=('#include "{name}.h" /* in C or C++; compile it and {name}.c with -O3 */',),
)

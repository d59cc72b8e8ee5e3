"""The record of the C backend."""

from rnnspec.backends.base import Backend
from rnnspec.backends.c.compiler import command, version
from rnnspec.backends.c.options import OPTIONS

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
    options=OPTIONS,
    quantizes_source=True,
    loading=('#include "{name}.h" /* in C or C++; compile it and {name}.c with -O3 */',),
)

"""The record of the C backend."""

from rnnspec.backends.base import Backend
from rnnspec.backends.c.compiler import command, version

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
    single_file="{name}.h",
    loading_single=(
        "#define {macro}_IMPLEMENTATION /* in one source file of the program */",
        '#include "{file}" /* in C or C++; compile with -O3 */',
    ),
    quantized=("int8",),
    quantizes_source=True,
    targets=("portable", "avx2", "cortex-m"),
    loading=('#include "{name}.h" /* in C or C++; compile it and {name}.c with -O3 */',),
)

"""Checks of network and layer names, so that every generated file is valid Python.

The lists of reserved names are written out instead of read from the running interpreter, so that a
spec is valid in all versions of Python or in none. Tests compare them with the installed versions.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from rnnspec.errors.wording import received

if TYPE_CHECKING:
    from rnnspec.words import ReservedNames

MAX_NAME_LENGTH = 64
MAX_CELL_NAME_LENGTH = MAX_NAME_LENGTH - len("_99999")
"""The default name of a layer is that of its cell and a number."""
# Names become files, modules, classes and attributes. No capital letters, because some file systems
# ignore case.
NAME_PATTERN = f"[a-z][a-z0-9_]{{0,{MAX_NAME_LENGTH - 1}}}"

_NAME = re.compile(NAME_PATTERN)

# ``keyword.kwlist`` and ``keyword.softkwlist`` of 3.11 to 3.14. None, True and False are separate:
# a lower-case name is none of them, but the class with this name would be.
KEYWORDS = frozenset(
    """
    and as assert async await break case class continue def del elif else except finally
    for from global if import in is lambda match nonlocal not or pass raise return try
    type while with yield
    """.split()  # noqa: SIM905 - names side by side are easier to check
)
CAPITAL_KEYWORDS = frozenset({"false", "none", "true"})

# ``sys.stdlib_module_names`` of 3.11 to 3.14, which does not depend on the system.
STANDARD_LIBRARY = frozenset(
    """
    abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore
    atexit audioop base64 bdb binascii bisect builtins bz2 calendar cgi cgitb chunk
    cmath cmd code codecs codeop collections colorsys compileall compression concurrent
    configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses
    datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum
    errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc
    genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html
    http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json
    keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes
    mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath
    nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb pickle
    pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile
    pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re
    readline reprlib resource rlcompleter runpy sched secrets select selectors shelve
    shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3
    sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct
    subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile
    termios textwrap this threading time timeit tkinter token tokenize tomllib trace
    traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib
    uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml
    xmlrpc zipapp zipfile zipimport zlib zoneinfo
    """.split()  # noqa: SIM905 - names side by side are easier to check
)

# ``dir(builtins)`` of 3.11 to 3.14, in lower case.
BUILTINS = frozenset(
    """
    abs aiter all anext any arithmeticerror ascii assertionerror attributeerror
    baseexception baseexceptiongroup bin blockingioerror bool breakpoint brokenpipeerror
    buffererror bytearray bytes byteswarning callable childprocesserror chr classmethod
    compile complex connectionabortederror connectionerror connectionrefusederror
    connectionreseterror copyright credits delattr deprecationwarning dict dir divmod
    ellipsis encodingwarning enumerate environmenterror eoferror eval exception
    exceptiongroup exec exit false fileexistserror filenotfounderror filter float
    floatingpointerror format frozenset futurewarning generatorexit getattr globals
    hasattr hash help hex id importerror importwarning indentationerror indexerror input
    int interruptederror ioerror isadirectoryerror isinstance issubclass iter
    keyboardinterrupt keyerror len license list locals lookuperror map max memoryerror
    memoryview min modulenotfounderror nameerror next none notadirectoryerror
    notimplemented notimplementederror object oct open ord oserror overflowerror
    pendingdeprecationwarning permissionerror pow print processlookuperror property
    pythonfinalizationerror quit range recursionerror referenceerror repr
    resourcewarning reversed round runtimeerror runtimewarning set setattr slice sorted
    staticmethod stopasynciteration stopiteration str sum super syntaxerror
    syntaxwarning systemerror systemexit taberror timeouterror true tuple type typeerror
    unboundlocalerror unicodedecodeerror unicodeencodeerror unicodeerror
    unicodetranslateerror unicodewarning userwarning valueerror vars warning
    windowserror zerodivisionerror zip
    """.split()  # noqa: SIM905 - names side by side are easier to check
)

# A file with such a name in the user's folder would be imported instead of the package. Sources:
# the top-level names in ``sys.modules`` after importing numpy, torch, tensorflow, flax and keras
# (NumPy 2.4, PyTorch 2.13, TensorFlow 2.21, JAX 0.10, Flax 0.12, Keras 3.15),
# ``packages_distributions`` for their requirements, and by hand their optional packages and those
# that rnnspec uses.
PACKAGES = frozenset(
    """
    absl aiofiles astunparse certifi charset_normalizer clang cython_runtime etils
    filelock flatbuffers flax flaxlib_src fsspec functorch gast google grpc h5py
    humanize idna isympy jax jaxlib jinja2 keras markdown_it markupsafe mdurl ml_dtypes
    mpmath msgpack namex networkx np numcodecs numpy nvidia onnx onnxruntime opt_einsum
    optax optree orbax packaging pasta pkg_resources prometheus_client psutil
    pybind11_abseil pydantic pydantic_core pyfive pygments pytest requests rich rnnspec
    safetensors scipy setuptools simplejson six sympy tensorboard tensorflow tensorstore
    termcolor tf torch torchgen treescope triton typer typing_extensions urllib3 uvloop
    wheel wrapt yaml
    """.split()  # noqa: SIM905 - names side by side are easier to check
)

# Files that Python, pip and pytest import or run automatically.
RUN_UNASKED = frozenset({"conftest", "pip", "setup", "sitecustomize", "usercustomize"})

# No file on Windows can have such a name, with any suffix.
WINDOWS_DEVICES = frozenset(
    {"aux", "con", "nul", "prn"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)}
)

# What joins and graphs call the input of a network; ``ir.nodes.INPUT``.
INPUT = "input"


def check_network_name(name: str, taken: tuple[ReservedNames, ...]) -> str:
    """Return ``name`` if a file, a class and a module can have this name.

    ``taken`` are the names that the backends use.

    Raises:
        PydanticCustomError: it is not a snake_case name, or it shadows a name that the generated
            file uses or a module that Python would import.
    """
    _check_form(name)
    # The class has the name without underscores: value_error would shadow ValueError.
    squashed = name.replace("_", "")
    if name in STANDARD_LIBRARY:
        raise _taken_error(name, "is a module of Python's standard library")
    if squashed in BUILTINS:
        raise _taken_error(name, "has the spelling of a Python builtin")
    if name in PACKAGES:
        raise _taken_error(name, "is the name of a package")
    if name in RUN_UNASKED:
        raise _taken_error(name, "is a file that Python, pip or pytest runs automatically")
    if name in WINDOWS_DEVICES:
        raise _taken_error(name, "is a device name on Windows, where no file can have it")
    if squashed in without_underscores(taken):
        raise _taken_error(name, "is used by the generated code")
    return name


@cache
def without_underscores(taken: tuple[ReservedNames, ...]) -> frozenset[str]:
    """Return the names in the source of all backends as their classes have them."""
    return frozenset(name.replace("_", "") for names in taken for name in names.in_source)


def check_layer_name(name: str) -> str:
    """Return ``name`` if a layer, or a head, can have it.

    Raises:
        PydanticCustomError: it is not a snake_case name, or is that of the input.
    """
    _check_form(name)
    if name == INPUT:
        raise _taken_error(name, "is the name of the network's input")
    return name


def check_input_name(name: str, taken: tuple[ReservedNames, ...]) -> str:
    """Return ``name`` if an input can have it.

    ``taken`` are the names that the backends use.

    Raises:
        PydanticCustomError: no layer can have it, or a framework gives it to something else.
    """
    check_layer_name(name)
    for names in taken:
        if re.fullmatch(names.framework_pattern, name):
            raise _taken_error(name, names.framework_reason)
    return name


def _check_form(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PydanticCustomError(
            "name_form",
            "expected a name of at most 64 lower-case letters a-z, digits and underscores that "
            "starts with a letter, received {received}",
            {"received": received(name)},
        )
    if name in KEYWORDS:
        raise _taken_error(name, "is a Python keyword")
    if name in CAPITAL_KEYWORDS:
        raise _taken_error(name, f"has the spelling of Python's {name.capitalize()}")


def _taken_error(name: str, reason: str) -> PydanticCustomError:
    context = {"name": name, "reason": reason}
    return PydanticCustomError("name_taken", "'{name}' {reason}; choose another name", context)

"""Pickles as data: their opcodes are interpreted here, and what they would call is only recorded.

Python's own unpickler calls what a pickle names. Restricting that to known functions still leaves
it open to pickles that take all memory (a large memo index) or all time (a hash of nested tuples).
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from rnnspec.errors import brief

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap
    from typing import BinaryIO


class PickleError(Exception):
    """A pickle that is broken or too large; the text says what was expected and received."""


@dataclass(frozen=True, slots=True)
class Global:
    """The full name of a class or function."""

    name: str


@dataclass(slots=True, eq=False)
class Made:
    """The object that a call of ``name`` would have made; the call was not made."""

    name: str
    args: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True, slots=True)
class Persistent:
    """An object that is stored outside the pickle, by its identifier there."""

    id: Any


MOST_OPCODES = 20_000_000
_LONGEST_NAME = 1_000  # of a class or function, with its module
_MOST_BITS = 1_024  # random generators have states of up to 128
_LARGEST_INDEX = 2**32
_MARK = object()


def read_pickle(stream: BinaryIO | mmap, persistent: list[Any] | None = None) -> Any:
    """Return the object that a pickle describes, up to its end in ``stream``.

    Mappings become dicts, whatever their class; their keys become text, and those that are objects
    are left out. Other objects become ``Made``. Identifiers of objects outside the pickle are added
    to ``persistent``.

    Raises:
        PickleError: the pickle is broken, or has more than ``MOST_OPCODES`` opcodes.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(cast("Any", stream)):
            if machine.opcodes >= MOST_OPCODES:
                raise PickleError(f"expected at most {MOST_OPCODES:,} opcodes in a pickle")
            machine.opcodes += 1
            machine.run(opcode.name, argument)
        if persistent is not None:
            persistent.extend(machine.persistent)
        return machine.pop()
    # genops raises ValueError and its subclasses, and whatever a broken argument leads to.
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise PickleError(f"expected a pickle, received a broken one: {brief(error)}") from error


@dataclass(slots=True)
class _Machine:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    persistent: list[Any] = field(default_factory=list)
    opcodes: int = 0
    copied: int = 0

    def run(self, name: str, argument: Any) -> None:
        """Run one opcode."""
        if name in _PUSHES:
            if isinstance(argument, int) and argument.bit_length() > _MOST_BITS:
                raise ValueError(f"an integer of more than {_MOST_BITS:,} bits")
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            raise ValueError(f"opcode {name}, which no checkpoint needs")

    def pop(self) -> Any:
        """Return the value on top, and remove it."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is expected")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Return the values above the last mark, and remove them with it."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def top(self) -> Any:
        """Return the value on top."""
        return self.stack[-1]

    def put(self, index: int | None = None) -> None:
        """Remember the value on top."""
        # Larger integers can be chosen to have one hash, and then a dict takes forever.
        if index is not None and not 0 <= index < _LARGEST_INDEX:
            raise ValueError(f"a value is stored as number {index}")
        self.memo[len(self.memo) if index is None else index] = self.top()

    def get(self, index: int) -> None:
        """Push a remembered value."""
        if index not in self.memo:
            raise ValueError(f"value {index} is used before it is stored")
        self.stack.append(self.memo[index])

    def set_items(self, items: list[Any]) -> None:
        """Add keys and values in turn to the mapping on top."""
        target = self.top()
        mapping = target if isinstance(target, dict) else {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Strings only: hashing nested tuples that share their parts can take forever, and
            # integers or floats can be chosen to have one hash.
            if isinstance(key, str | int | float | None):
                mapping[str(key)] = value

    def extend(self, items: list[Any]) -> None:
        """Add items to the list on top; those of other objects are dropped."""
        if isinstance(self.top(), list):
            self.top().extend(items)

    def reduce(self, *, unpack: bool = False) -> None:
        """Replace a callable and its arguments by the object that the call would make."""
        if unpack:
            self.pop()  # keyword arguments
        args, called = self.pop(), self.pop()
        self.make(called, args if isinstance(args, tuple) else (args,))

    def make(self, called: Any, args: tuple[Any, ...]) -> None:
        """Push the object that a call would make."""
        name = called.name if isinstance(called, Global) else ""
        if name not in _MAPPINGS:
            self.stack.append(Made(name, args))
            return
        pairs = args[0] if args and isinstance(args[0], list) else []
        # Each pair took an opcode of its own, unless one list becomes many mappings.
        self.copied += len(pairs)
        if self.copied > self.opcodes:
            raise ValueError("mappings that have the same list of items")
        self.stack.append({})
        for pair in pairs:
            self.set_items([pair[0], pair[1]])

    def build(self) -> None:
        """Give the object on top its state."""
        state = self.pop()
        if isinstance(self.top(), Made):
            self.top().state = state

    def push_persistent(self, identifier: Any) -> None:
        """Push an object that is stored outside the pickle."""
        self.persistent.append(identifier)
        self.stack.append(Persistent(identifier))

    def stack_global(self) -> None:
        """Replace a module's name and a name in it by the class or function."""
        name, module = self.pop(), self.pop()
        # Other objects could be tuples that share their parts: short to store, endless as text.
        if not (isinstance(name, str) and isinstance(module, str)):
            raise TypeError("a class or function whose name is not text")
        self.stack.append(_global(module, name))


def _global(module: str, name: str) -> Global:
    # A long module can be stored once and used in each name.
    if len(module) + len(name) > _LONGEST_NAME:
        raise ValueError(f"the name of a class or function of more than {_LONGEST_NAME:,} letters")
    return Global(f"{module}.{name}")


_MAPPINGS = ("collections.OrderedDict", "collections.defaultdict", "builtins.dict")
_PUSHES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    }
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
    "MARK": lambda: _MARK,
}


def _tuple(size: int) -> Callable[[_Machine, Any], None]:
    def run(machine: _Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(size)]
        machine.stack.append(tuple(values[::-1]))

    return run


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.pop_to_mark()
    machine.stack.append({})
    machine.set_items(items)


def _instance(machine: _Machine, argument: Any) -> None:
    args = tuple(machine.pop_to_mark())
    machine.make(_global(*argument.split(" ", 1)), args)


def _object(machine: _Machine, _: Any) -> None:
    called, *args = machine.pop_to_mark()
    machine.make(called, tuple(args))


_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "STOP": lambda *_: None,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.top()),
    "PUT": lambda machine, index: machine.put(index),
    "BINPUT": lambda machine, index: machine.put(index),
    "LONG_BINPUT": lambda machine, index: machine.put(index),
    "MEMOIZE": lambda machine, _: machine.put(),
    "GET": lambda machine, index: machine.get(index),
    "BINGET": lambda machine, index: machine.get(index),
    "LONG_BINGET": lambda machine, index: machine.get(index),
    "LIST": lambda machine, _: machine.stack.append(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.pop_to_mark()),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "DICT": _dict,
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "GLOBAL": lambda machine, name: machine.stack.append(_global(*name.split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.stack_global(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.reduce(),
    "NEWOBJ_EX": lambda machine, _: machine.reduce(unpack=True),
    "INST": _instance,
    "OBJ": _object,
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.push_persistent(machine.pop()),
    "PERSID": lambda machine, id_: machine.push_persistent(id_),
}

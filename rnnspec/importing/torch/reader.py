"""The value of each operation of a live module, in the order in which it computes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Literal, assert_never

from rnnspec.errors import brief, listed
from rnnspec.importing.arrange import arrange
from rnnspec.importing.assemble import is_input_name
from rnnspec.importing.graph.layer_graph import RefusedError
from rnnspec.importing.graph.probes import ProbeSetting
from rnnspec.importing.graph.reader import read_in_order
from rnnspec.importing.graph.values import (
    NAMES_OF_AXES,
    CarriedStates,
    ExtraInput,
    Known,
    RestartError,
    Tensor,
    Unknown,
)
from rnnspec.importing.imported import Account
from rnnspec.importing.torch import graph, layers, states, table
from rnnspec.importing.torch.operators import Operators
from rnnspec.importing.torch.scope import ModuleScope
from rnnspec.importing.torch.values import (
    GivenStates,
    ModuleArray,
    ModuleLayout,
    NonTensor,
    Ref,
    ResultLayout,
    Zeros,
    describe,
    is_size,
    names_in,
)
from rnnspec.ir import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rnnspec.importing.arrange import Arranged
    from rnnspec.importing.graph.probes import Probes
    from rnnspec.importing.torch.values import Op, Value


Role = Literal["sequence", "tokens", "vector", "label"]
"""What an input is: with steps or without, of numbers or of embedded integers."""
_WORDS: dict[str, str] = {
    "sequence": "a sequence",
    "tokens": "tokens",
    "vector": "a vector",
    "label": "a label of each sequence",
    "lengths": "lengths of sequences",
}
_MOST_MEANINGS = 300


def find_roles(
    operations: Sequence[Op], ranks: Mapping[str, int], given: Collection[str] = ()
) -> Iterator[dict[str, Role]]:
    """Yield what the arguments may be, the usual meanings first.

    Lengths are left out, and so are those that are ``given`` as first states. The first one is a
    sequence.
    """
    users = _users(operations)
    names = [
        op
        for op in operations
        if op.kind == "input" and op.name in users and op.target not in given
    ]
    embeds = any(map(_embeds, operations))
    if len(names) < 2:
        target = next((op.target for op in names), "")
        yield {target: "tokens" if embeds else "sequence"}
        return
    choices = [_choices(op, users, ranks.get(op.target)) for op in names]
    # The first one has no lengths of others.
    choices[0] = tuple(role for role in choices[0] if role) or choices[0]
    for chosen in product(*choices):
        roles = {op.target: role for op, role in zip(names, chosen, strict=True) if role}
        steps = [name for name, role in roles.items() if role in ("sequence", "tokens")]
        if steps:
            yield {steps[0]: roles[steps[0]], **roles}
    if ranks and not any("sequence" in choice or "tokens" in choice for choice in choices):
        # The comparison tells what is wrong with the example.
        yield from find_roles(operations, {}, given)


def split_tuples(
    operations: Sequence[Op], example: Mapping[str, Any], given: Collection[str]
) -> tuple[list[Op], dict[str, tuple[str, tuple[int, ...]]]]:
    """Return operations in which each item of an argument that is a tuple is an argument.

    The second is the argument and the places of each of these, by its name.
    """
    items, result = dict[str, tuple[str, tuple[int, ...]]](), list[Any]()
    # The argument and the places of each value that is a tuple, and what stands for others.
    tuples, values = dict[str, tuple[str, tuple[int, ...]]](), dict[str, Any]()
    first = dict[str, str]()

    def item(op: Op, argument: str, places: tuple[int, ...]) -> Any:
        value = item_of(example[argument], places)
        if isinstance(value, list | tuple):
            several = (item(op, argument, (*places, place)) for place in range(len(value)))
            return tuple(several)
        name = "_".join(map(str, (argument, *places)))
        if name not in items:
            items[name], first[name] = (argument, places), f"{op.name}_{places[-1]}"
            result.append(
                replace(
                    op, name=first[name], kind="input", target=name, module=None, layer="", args=(),
                    kwargs={},
                )
            )  # fmt: skip
        return Ref(first[name])

    for op in operations:
        value = example.get(op.target) if op.kind == "input" else None
        source = op.args[0] if op.args else None
        if isinstance(value, list | tuple) and op.target not in given:
            tuples[op.name] = (op.target, ())
        elif op.target == "getitem" and isinstance(source, Ref) and source.name in tuples:
            argument, places = tuples[source.name]
            several = item_of(example[argument], places)
            if type(op.args[1]) is not int or not -len(several) <= op.args[1] < len(several):
                result.append(_with_tuples(op, tuples, values, item))
                continue
            places = (*places, op.args[1] % len(several))
            if isinstance(item_of(example[argument], places), list | tuple):
                tuples[op.name] = (argument, places)
            else:
                values[op.name] = item(op, argument, places)
        else:
            result.append(_with_tuples(op, tuples, values, item))
    return result, items


def without_arguments(account: Account, operations: Sequence[Op]) -> list[Op]:
    """Return operations without the results that are arguments as they are, beside others."""
    names = {op.name: op.target for op in operations if op.kind == "input"}
    *before, last = operations
    if last.kind != "output":
        return list(operations)
    leaves = list(_leaves(last.args[0]))
    passed = {
        path: names[leaf.name]
        for path, leaf in leaves
        if isinstance(leaf, Ref) and leaf.name in names
    }
    if len(passed) == len(leaves):
        return list(operations)
    for path, name in passed.items():
        reason = f"the argument '{name}' as it is"
        account.leave(f"the result {_result_name(path)}", reason=reason)

    def without(value: Any, path: tuple[int | str, ...]) -> Any:
        match value:
            case _ if path in passed:
                return None
            case tuple():
                return tuple(without(one, (*path, place)) for place, one in enumerate(value))
            case dict():
                return {key: without(one, (*path, key)) for key, one in value.items()}
            case _:
                return value

    return [*before, replace(last, args=(without(last.args[0], ()),))]


def leaves_of(
    example: Mapping[str, Any], items: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, Any]:
    """Return an example in which the items of a tuple are arguments."""
    several = {
        name: item_of(example[argument], places) for name, (argument, places) in items.items()
    }
    split = {argument for argument, _ in items.values()}
    return {name: value for name, value in example.items() if name not in split} | several


def item_of(value: Any, places: Iterable[int]) -> Any:
    """Return the item of a nested tuple that places lead to."""
    for place in places:
        value = value[place]
    return value


def _with_tuples(
    op: Op,
    tuples: Mapping[str, tuple[str, tuple[int, ...]]],
    values: Mapping[str, Any],
    item: Callable[..., Any],
) -> Op:
    """Return an operation that takes items in place of the tuples that they are in."""

    def resolve(value: Any) -> Any:
        match value:
            case Ref(name=name) if name in tuples:
                return item(op, *tuples[name])
            case Ref(name=name):
                return values.get(name, value)
            case tuple():
                return tuple(map(resolve, value))
            case dict():
                return {key: resolve(one) for key, one in value.items()}
            case slice():
                return slice(resolve(value.start), resolve(value.stop), resolve(value.step))
            case _:
                return value

    return replace(op, args=resolve(op.args), kwargs=resolve(op.kwargs))


def _users(operations: Sequence[Op]) -> dict[str, list[Op]]:
    """Return the operations that take each result."""
    users = dict[str, "list[Op]"]()
    for op in operations:
        for name in dict.fromkeys(names_in((op.args, tuple(op.kwargs.values())))):
            users.setdefault(name, []).append(op)
    return users


def _embeds(op: Op) -> bool:
    """True if an operation takes tokens."""
    return type(op.module).__name__ == "Embedding" or op.target == "one_hot"


def _choices(op: Op, users: Mapping[str, list[Op]], rank: int | None) -> tuple[Role | None, ...]:
    """Return what an argument may be, None for lengths."""
    waiting, seen = [op.name], set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for user in users.get(name, ()):
            if _embeds(user):
                by_rank: dict[int | None, tuple[Role | None, ...]] = {1: ("label",), 2: ("tokens",)}
                return by_rank.get(rank, ("tokens", "label"))
            if user.target in (*_SAME, *_MOVES) and user.name not in seen:
                waiting.append(user.name)
    by_rank = {1: (None,), 2: ("vector", None), 3: ("sequence",)}
    return by_rank.get(rank, (None, "sequence", "vector"))


_MOVES = ("getitem", "index_select", "flip", "view", "reshape", "squeeze")
_SAME = ("long", "int", "to", "clone", "contiguous", "detach", "t", "transpose", "permute")


def read_operations(  # noqa: PLR0913, PLR0917 - what is known of a module
    account: Account,
    module: Any,
    operations: Sequence[Op],
    shapes: Mapping[str, Sequence[int]],
    given: Mapping[str, GivenStates],
    wanted: Collection[int | str] | None,
    *,
    whole: bool,
    fixed: bool = False,
) -> ModuleReader:
    """Read all operations of a module; what cannot be taken over is refused in the account.

    Nothing says what a second argument is. Each meaning is tried, and the one counts that rnnspec
    supports: if there are two, only an example tells which of them it is.

    Args:
        account: what everything is recorded in.
        module: the module.
        operations: what its ``forward`` does.
        shapes: the shapes of the arguments that have an example.
        given: the arguments with first states.
        wanted: the places or keys of the results that are taken, None for the usual ones.
        whole: whether these are all operations; otherwise a meaning may be another one.
        fixed: whether sequences have as many steps as their example.
    """
    ranks = {name: len(shape) for name, shape in shapes.items()}

    def read(roles: Mapping[str, Role]) -> tuple[Account, ModuleReader]:
        tried = Account(account.source)
        return tried, _read_as(tried, module, operations, roles, shapes, given, wanted, fixed=fixed)

    meanings = _find_meanings(find_roles(operations, ranks, given), read)
    # If there is none, the one with the fewest problems says why.
    every = map(read, islice(find_roles(operations, ranks, given), _MOST_MEANINGS))
    readings = [reading for _, reading in meanings] or every
    tried, reader = min(readings, key=lambda one: (len(one[0].problems), -len(one[1].scope.steps)))
    account.adopt(tried)
    reader.scope.account = account
    if len(meanings) == 2 and whole:
        (one, _), (other, _) = meanings
        for name in dict.fromkeys((*one, *other)):
            if one.get(name) != other.get(name):
                words = " or ".join(_WORDS[roles.get(name, "lengths")] for roles in (one, other))
                message = f"it may be {words}, which differ; give inputs as example="
                account.refuse(f"the argument '{name}'", message, "E704")
    return reader


def _find_meanings(
    several: Iterable[dict[str, Role]],
    read: Callable[[Mapping[str, Role]], tuple[Account, ModuleReader]],
) -> list[tuple[dict[str, Role], tuple[Account, ModuleReader]]]:
    """Return the first two meanings without a problem, each with what was read.

    An operation that was refused is so again for the same meanings of what it depends on.
    """
    clean, failed = list[Any](), list[dict[str, Any]]()
    for roles in islice(several, _MOST_MEANINGS**2):
        first = next(iter(roles))
        whole = {**roles, "": (first, len(roles) > 1)}
        if any(all(whole.get(name) == role for name, role in one.items()) for one in failed):
            continue
        tried, reader = read(roles)
        if tried.problems:
            failed.append({name: whole.get(name) for name in (first, "", *reader.causes)})
        else:
            clean.append((roles, (tried, reader)))
        if len(clean) == 2 or len(failed) == _MOST_MEANINGS:
            break
    return clean


def _read_as(  # noqa: PLR0913, PLR0917 - what is known of a module, and what is tried
    account: Account,
    module: Any,
    operations: Sequence[Op],
    roles: Mapping[str, Role],
    shapes: Mapping[str, Sequence[int]],
    given: Mapping[str, GivenStates],
    wanted: Collection[int | str] | None,
    *,
    fixed: bool,
) -> ModuleReader:
    """Read all operations with a meaning of each argument."""
    (first, role), *others = roles.items()
    tokens, several = role == "tokens", bool(others)
    calls = {op.target for op in operations if op.kind == "call"}
    # With several inputs, those have padding that are packed, or that a mask is made of.
    padded = _compared(operations) | ({first} if "pack_padded_sequence" in calls else set())
    compares = (several and bool(calls & {"ne", "not_equal", "eq", "bool"})) or (
        not tokens and "any" in calls
    )

    masks = bool(padded or calls & _MASKS)
    number = sum(op.kind == "input" for op in operations)
    causes = set[str]()
    tensors, bare = graph.parameters(module), graph.bare_parameters(module)

    def read(tried: Account, probes: Probes) -> ModuleReader:
        names = tuple(map(input_name, roles)) if several or given else (nodes.INPUT,)
        places = {name: -at for at, name in enumerate(roles)}
        scope = ModuleScope(tried, probes, tensors, bare, names)
        reader = ModuleReader(
            scope, operations, places, causes, given, wanted, with_numbers=compares
        )
        reader.read()
        reader.check_sizes(shapes.get(first, ()))
        return reader

    # Numbers without an axis of features have one feature.
    plain = () if tokens else ("BTF", "TBF", "BFT", "TFB", "FBT", "FTB")
    rank = len(shapes.get(first, ()))
    orders = (*(("BT", "TB") if tokens or rank == 2 else ()), *plain)
    if rank == 2 - tokens and not several:
        # Perhaps one sequence, without an axis of a batch.
        orders = ("T",) if tokens else ("BT", "TB", "TF", *(plain if number > 1 else ()))
    elif rank == 1 and not several:
        orders = ("T",)
    settings = (
        ProbeSetting(
            order=order,
            sizes=_sizes(order, shapes.get(first), "T" if fixed else ""),
            tokens=tokens,
            at_end=not compares,
            # Without a mask or lengths, no step is padding.
            padded=first in padded or (not several and (masks or number > 1 + len(given))),
            others=tuple(
                # Those that are joined have as many steps as the first one.
                replace(
                    _setting(other, order, shapes.get(name), fixed=fixed),
                    clock=clock,
                    padded=name in padded,
                )
                for clock, (name, other) in enumerate(others, 1)
            ),
        )
        for order in orders
    )
    return read_in_order(account, "the input", settings, read)


def _compared(operations: Sequence[Op]) -> set[str]:
    """Return the arguments that ``forward`` compares with a number, or makes truth values of."""
    names = dict[str, str]()
    compared = set[str]()
    for op in operations:
        taken = next(names_in(op.args), "")
        if op.kind == "input":
            names[op.name] = op.target
        elif op.target in _SAME and taken in names:
            names[op.name] = names[taken]
        elif op.target in _COMPARISONS and taken in names:
            compared.add(names[taken])
    return compared


_MASKS = {"arange", "count_nonzero", "gather", "masked_fill", "masked_fill_", "where", "any"}
"""Operations that masks are made with."""
_COMPARISONS = ("ne", "not_equal", "eq", "gt", "greater", "le", "less_equal", "bool", "sign")


def input_name(argument: str) -> str:
    """Return what the input is called that an argument is."""
    return argument if is_input_name(argument) else f"{argument}_input"


def _sizes(order: str, shape: Sequence[int] | None, letters: str) -> tuple[int | None, ...]:
    """Return the sizes of an example along some axes, None of others.

    The comparison tells what is wrong with an example of other axes.
    """
    known = shape if shape and len(shape) == len(order) else (None,) * len(order)
    several = zip(order, known, strict=True)
    return tuple(size if letter in letters else None for letter, size in several)


def _setting(role: Role, order: str, shape: Sequence[int] | None, *, fixed: bool) -> ProbeSetting:
    """Return what is assumed of another input than the first one."""
    match role:
        case "sequence":
            letters = order if "F" in order else f"{order}F"
        case "tokens":
            letters = order.replace("F", "")
        case "vector":
            letters = "BF"
        case "label":
            letters = "B"
        case _:
            assert_never(role)
    embedded = role in ("tokens", "label")
    sizes = _sizes(letters, shape, "TF" if fixed else "F")
    return ProbeSetting(order=letters, sizes=sizes, tokens=embedded, padded=False)


class ModuleReader:
    """The value of each operation so far.

    ``causes`` has the arguments that the first operation that is refused depends on, for each order
    of the axes.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is known of a module, and what is tried
        self,
        scope: ModuleScope,
        operations: Sequence[Op],
        places: Mapping[str, int],
        causes: set[str],
        given: Mapping[str, GivenStates],
        wanted: Collection[int | str] | None,
        *,
        with_numbers: bool,
    ) -> None:
        self.scope = scope
        self.causes = causes
        self.given = dict(given)
        self._wanted = wanted
        self._places = places
        self._with_numbers = with_numbers
        self._operators = Operators(scope)
        self.results: list[tuple[ResultLayout, Tensor]] = []
        self._operations = operations
        self._values: dict[str, Value] = {}
        self._users: dict[str, list[Op]] = {}
        self._refused: list[RefusedError] = []
        self._inputs = list[str]()
        self._in_autocast = False

    def read(self) -> None:
        """Read all operations; what cannot be taken over is refused in the account."""
        self._users = _users(self._operations)
        behind, has_problem = dict[str, set[str]](), False
        for op in self._operations:
            before = (behind[name] for name in names_in((op.args, tuple(op.kwargs.values()))))
            behind[op.name] = set[str]().union({op.target} if op.kind == "input" else (), *before)
            self.scope.op = op
            if op.kind == "input" and op.name not in self._users:
                self.scope.account.leave(
                    f"the argument '{op.target}'", reason="not used by forward"
                )
            try:
                self._values[op.name] = self._value(op)
            except RefusedError as refused:
                self._note_refusal(op, refused)
                self._values[op.name] = Unknown()
            except RestartError:
                raise
            except Exception:  # noqa: BLE001 - PyTorch takes more than is foreseen here
                # Not the error, which is about our own code.
                message = (
                    f"expected arguments that rnnspec supports, received {self._described(op)}"
                )
                self._refuse(op, brief(message), "E704")
                self._values[op.name] = Unknown()
            if self.scope.account.problems and not has_problem:
                has_problem = True
                self.causes |= behind[op.name]
            self._check_modes(op)

    def check_sizes(self, shape: Sequence[int]) -> None:
        """Refuse an example of other sizes than constants of ``forward`` fix."""
        setting = self.scope.probes.setting
        if len(shape) != len(setting.order):
            return
        for letter, size, own in zip(setting.order, setting.sizes, shape, strict=True):
            if size is not None and size != own:
                what = f"{NAMES_OF_AXES[letter]} of size {size}, which forward fixes"
                self.scope.account.refuse("example", f"expected {what}, received {own}", "E707")

    def _note_refusal(self, op: Op, refused: RefusedError) -> None:
        """Refuse an operation once, or the earlier one that is the origin of the reason."""
        if refused not in self._refused:
            self._refused.append(refused)
            origin = refused.origin or op
            place = origin.place
            if op is origin and op.kind == "output":
                # That of what is returned.
                places = {one.name: one.place for one in self._operations}
                place = next((places[name] for name in names_in(op.args)), place)
            self.scope.account.refuse(
                origin.where, refused.message, refused.code, place.file, place.span
            )

    def _refuse(self, op: Op, message: str, code: str) -> None:
        self.scope.account.refuse(op.where, message, code, op.place.file, op.place.span)

    def _value(self, op: Op) -> Any:
        args = self._resolve(op.args)
        kwargs = {key: self._resolve(value) for key, value in op.kwargs.items()}
        unknown = _holds_unknown((args, tuple(kwargs.values())))
        arguments = None if unknown else (args, kwargs)
        if op.overwrites and not is_size(args[0]):
            raise RefusedError(
                "changes a tensor in place that is used again under an older name; expected a new "
                "one, such as y = y + x in place of y += x"
            )
        match op.kind:
            case "input":
                if op.target in self.given:
                    self.given[op.target], value = states.add_given(
                        self.scope, op.target, self.given[op.target]
                    )
                    return value
                self._inputs.append(op.target)
                at = self._places.get(op.target)
                return ExtraInput(op.target) if at is None else self._input(at)
            case "module":
                return layers.call_module(self._operators, op, arguments)
            case "array":
                return self._read_array(op)
            case "output":
                if not unknown:
                    self._note_results(args[0])
                return NonTensor()
            case _:
                value = table.call_function(self._operators, op.target, arguments)
                if isinstance(value, Known) and value.kind == "input" and value.doubt is None:
                    return self.scope.as_input(value) or value
                return value

    def _input(self, at: int) -> Value:
        probes = self.scope.probes.of(at)
        known = Known(probes.inputs, kind="input", at=at)
        if probes.setting.tokens:
            return known
        numbers = known if self._with_numbers and probes.has_numbers else None
        setting = probes.setting
        axes = ("BT", *setting.order[1:]) if setting.is_single else tuple(setting.order)
        return Tensor(at, axes, numbers=numbers)

    def _described(self, op: Op) -> str:
        """Return the arguments of an operation, for messages."""
        args = [*op.args, *op.kwargs.values()]
        return listed([describe(self._resolve(value)) for value in args]) or "none"

    def _resolve(self, value: Any) -> Any:
        match value:
            case tuple():
                return tuple(map(self._resolve, value))
            case dict():
                return {key: self._resolve(item) for key, item in value.items()}
            case slice():
                ends = (value.start, value.stop, value.step)
                return slice(*map(self._resolve, ends))
            case Ref():
                return self._values[value.name]
            case _:
                return value

    def _check_modes(self, op: Op) -> None:
        """Refuse operations in autocast, once, and name those without gradients."""
        if "autocast" in op.modes and not self._in_autocast:
            self._in_autocast = True
            message = "runs in autocast, which rounds; expected it around the call of the module"
            self._refuse(op, message, "E703")
        if "no_grad" in op.modes and op.kind == "module":
            self.scope.account.leave("torch.no_grad", op.target)

    def _read_array(self, op: Op) -> Value:
        """Return the value of an array outside of a layer: zeros, or what zeros are made like."""
        if op.module is not None and not op.module.any():
            return Zeros(op.module.shape[1] if op.module.ndim == 3 else 0)
        if all(user.target in ("new_zeros", "zeros_like", "new") for user in self._users[op.name]):
            return NonTensor()
        if op.module is not None:
            return NonTensor("numbers that the module keeps beside its parameters")
        return ModuleArray(op.target)

    def _note_results(self, value: Any) -> None:
        """Note the results of the module, several of which have names."""
        leaves = list(_leaves(value))
        if self._wanted is not None:
            chosen = [leaf for leaf in leaves if leaf[0][:1] and leaf[0][0] in self._wanted]
            if not chosen:
                keys = listed([repr(key) for key in dict.fromkeys(p[0] for p, _ in leaves if p)])
                received = listed([repr(key) for key in self._wanted]) or "none"
                message = f"outputs: expected {keys or 'a module with several results'}"
                raise RefusedError(f"{message}, received {received}", "E703")
        else:
            # Results beside the one that a network is for: states, weights, lengths.
            chosen = [leaf for leaf in leaves if not self._is_aside(leaf[1])] or [
                leaf for leaf in leaves if _is_states(leaf[1])
            ]
        chosen = chosen or leaves
        for path, left in leaves:
            if (path, left) not in chosen and left is not None:
                what = f"the result {_result_name(path)}"
                reason = f"{describe(left)}; outputs= names the results to take"
                self.scope.account.leave(what, reason=reason)
        sole = len(chosen) == 1 and (len(leaves) > 1 or not chosen[0][0])
        for path, leaf in chosen:
            name = "" if sole else _result_name(path)
            if _is_states(leaf):
                self._note_states(name, path, leaf)
            else:
                self._note_result(name, path, leaf, alone=sole)

    def _is_aside(self, value: Any) -> bool:
        """True if a result is none that people want alone, such as states that nobody gives."""
        match value:
            case Tensor() | CarriedStates() if _is_states(value):
                return not all(self._begins_given(part.at) for part in _parts(value))
            case Tensor(role="plain"):
                return False
            case Known():
                return value.kind == "derived"
            case _:
                return True

    def _begins_given(self, at: int) -> bool:
        """True if a recurrent layer begins with states that are arguments."""
        vectors = self.scope.steps[at].sources[1:]
        return bool(vectors) and all(self.scope.is_given(vector) for vector in vectors)

    def _note_states(self, name: str, path: tuple[int | str, ...], value: Any) -> None:
        """Note vectors one after the other, each as a result of its own."""
        scope, row = self.scope, 0
        axes = ("B", "D", "U") if _axis(value) else ("D", "B", "U")
        for place, part in enumerate(parts := _parts(value)):
            ways = 2 if "D" in part.axes else 1
            flat = replace(part, axes=("B", "F"))
            is_state = part.is_final and part.formula is None
            at = scope.state(flat) if is_state else scope.layer_output(flat).at
            own = f"{name or 'state'}_{place}" if len(parts) > 1 else name
            layout = ResultLayout(own, path, axes, padded=False, rows=tuple(range(row, row + ways)))
            self.results.append((layout, Tensor(at, ("B", "F"))))
            row += ways

    def _note_result(
        self, name: str, path: tuple[int | str, ...], value: Any, *, alone: bool
    ) -> None:
        scope = self.scope
        match value:
            case Known(kind="input"):
                raise RefusedError("expected the output of a layer, received the input")
            case Tensor(at=at, formula=None) if at <= 0:
                raise RefusedError("expected the output of a layer, received the input")
            case Tensor(role="plain"):
                solid = scope.layer_output(value)
            case _ if alone:
                raise RefusedError(f"expected a tensor as the result, received {describe(value)}")
            case _:
                raise RefusedError(
                    f"the result {_result_name(path)}: expected a sequence or a vector, received "
                    f"{describe(value)}; outputs= names the results to take"
                )
        if not any(isinstance(step.layer, nodes.Recurrent) for step in scope.steps.values()):
            raise RefusedError("expected a recurrent layer, received none")
        if scope.probes.setting.is_single and "T" not in "".join(solid.axes):
            own = (axis.replace("B", "") or axis for axis in solid.axes)
            solid = replace(solid, axes=("B", *own) if "B" in solid.axes else tuple(own))
        missing = set("BTF" if scope.is_sequence(solid.at) else "BF") - {*solid.axes}
        missing -= {"B"} if scope.probes.setting.is_single else set()
        if any(len(axis) > 1 for axis in solid.axes) and self._is_rows(solid):
            pass
        elif missing - {"F"} or (missing and scope.features(solid) != 1):
            raise RefusedError(f"expected a sequence or a vector, received {describe(solid)}")
        elif missing:
            reason = "the spec keeps the last axis, of size 1"
            scope.account.leave("squeeze of the result", reason=reason)
        self._say_layout(solid)
        padded = scope.is_padded(solid.at) or (scope.masks and scope.is_sequence(solid.at))
        self.results.append((ResultLayout(name, path, solid.axes, padded=padded), solid))

    def _is_rows(self, value: Tensor) -> bool:
        """True if a value has all steps of all sequences as rows."""
        return value.axes in (("BT", "F"), ("TB", "F")) and not self.scope.is_padded(value.at)

    @property
    def first(self) -> str:
        """The argument that is the first input, at place 0."""
        return next((name for name, at in self._places.items() if not at), "")

    @property
    def places(self) -> list[int]:
        """The places of the inputs in the order of the arguments."""
        return [self._places[name] for name in self._inputs if name in self._places]

    def renamed(self, before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield arguments whose inputs have other names in the network, with these names."""
        names = dict(zip(before, after, strict=True))
        for argument, at in self._places.items():
            name = names[self.scope.inputs[-at]]
            if name not in (argument, nodes.INPUT):
                yield argument, name

    def arrange(self, shape: Sequence[int]) -> Arranged | None:
        """Return the layers in the order of a spec, or None if the account has a problem.

        Args:
            shape: the shape of the example, empty if there is none.
        """
        order, steps = self._order, None
        if len(shape) == len(order):
            steps = shape[order.index(1)]
        results = [(layout.name, value.at) for layout, value in self.results]
        return arrange(self.scope, results, steps)

    @property
    def _order(self) -> tuple[int, ...]:
        """The axes of a batch of the network that make the input of the module."""
        return tuple(map("BTF".index, self.scope.probes.setting.order))

    @property
    def layout(self) -> ModuleLayout:
        """The layout of the input and the results, once they have been read."""
        scope = self.scope
        names = {at: scope.inputs[-at] for at in self._places.values()}
        arguments = [(name, names.get(self._places.get(name, 1), "")) for name in self._inputs]
        settings = {name: scope.probes.of(at).setting for at, name in names.items()}
        return ModuleLayout(
            inputs=(),
            arguments=tuple(arguments),
            given=self.given,
            items={},
            axes={name: tuple(setting.order) for name, setting in settings.items()},
            results=tuple(layout for layout, _ in self.results),
            counted=scope.counted or (scope.masks and not scope.lengths),
            decreasing=scope.decreasing,
            batch=scope.probes.setting.size("B") or scope.batch,
            casts=scope.casts,
        )

    def _say_layout(self, value: Tensor) -> None:
        order = self.scope.probes.setting.order
        if self.scope.probes.setting.is_single:
            self.scope.account.infer("the module takes one sequence, the spec a batch of them")
            return
        self.scope.infer_axes("the module takes", order, "BTF"[: len(order)])
        if self.scope.is_sequence(value.at):
            usual = "BTF" if self._is_rows(value) else _batch_first(value.axes)
            self.scope.infer_axes("the module returns", value.axes, usual)
        elif "" in value.axes:
            self.scope.infer_axes("the module returns", value.axes, "BF")


def _is_states(value: Any) -> bool:
    """True if a value has vectors one after the other, as states are."""
    match value:
        case CarriedStates():
            return True
        case Tensor(is_final=True, axes=("D" | "", "B", _) | ("B", "D" | "", _)):
            return True
        case _:
            return False


def _parts(value: Any) -> tuple[Tensor, ...]:
    return value.parts if isinstance(value, CarriedStates) else (value,)


def _axis(value: Any) -> int:
    """Return the axis of the layers."""
    return value.axis if isinstance(value, CarriedStates) else int(value.axes[0] == "B")


def _leaves(
    value: Any, path: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    """Yield each result of a module, with the places and keys that lead to it."""
    match value:
        case dict() if value and all(isinstance(key, str) for key in value):
            for key, item in value.items():
                yield from _leaves(item, (*path, key))
        case tuple() if value:
            for place, item in enumerate(value):
                yield from _leaves(item, (*path, place))
        case _:
            yield path, value


def _result_name(path: tuple[int | str, ...]) -> str:
    """Return what the output is called that a result is."""
    first, *others = path or (0,)
    return "_".join(map(str, (f"output_{first}" if isinstance(first, int) else first, *others)))


def _batch_first(axes: Iterable[str]) -> str:
    """Return axes with the batch first, then the steps."""
    return "".join(sorted(axes, key="BTF".find))


def _holds_unknown(value: Any) -> bool:
    match value:
        case dict():
            value = tuple(value.values())
        case slice():
            value = (value.start, value.stop, value.step)
        case _:
            pass
    return isinstance(value, Unknown) or (
        isinstance(value, tuple) and any(map(_holds_unknown, value))
    )

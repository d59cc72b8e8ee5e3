"""Cases of one promise, as subtests of one test: each that fails is reported by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

Test = Callable[..., None]


def cases(
    names: str | Sequence[str], values: Iterable[object] | Mapping[str, object]
) -> Callable[[Test], Test]:
    """Run a test for each of ``values``, as ``pytest.mark.parametrize`` does, in one test.

    The cases share their fixtures. Only patches end with their case, and each has a ``tmp_path``.
    """
    rows = list(_named(values))
    assert rows, "a promise without a case"
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else names

    def decorate(test: Test) -> Test:
        def run(*, subtests: pytest.Subtests, **fixtures: object) -> None:
            __tracebackhide__ = True
            for number, (name, value) in enumerate(rows):
                row = [value] if len(arguments) == 1 else value
                own = dict(zip(arguments, row, strict=True))  # type: ignore[call-overload]
                if isinstance(folder := fixtures.get("tmp_path"), Path):
                    own["tmp_path"] = folder / str(number)
                    (folder / str(number)).mkdir()
                with subtests.test(msg=name), pytest.MonkeyPatch.context() as patch:
                    if "monkeypatch" in fixtures:
                        own["monkeypatch"] = patch
                    test(**fixtures | own)

        taken = inspect.signature(test).parameters
        keywords = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for each in taken.values()
            if each.name not in arguments
        ]
        subtests = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)
        for name in ("__doc__", "__module__", "__name__", "__qualname__"):
            setattr(run, name, getattr(test, name))
        vars(run).update(vars(test))  # its marks
        vars(run)["__signature__"] = inspect.Signature([*keywords, subtests])
        return run

    return decorate


def _named(values: Iterable[object] | Mapping[str, object]) -> Iterator[tuple[str, object]]:
    if isinstance(values, Mapping):
        yield from values.items()
        return
    for value in values:
        yield value.stem if isinstance(value, Path) else repr(value)[:200], value

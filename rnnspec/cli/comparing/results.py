"""Print the result of a comparison, with a record of its shard if it is one."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from rnnspec.cli.terminal import tables
from rnnspec.comparison.shards.shard import Asked, digest, of_random
from rnnspec.environment import environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from rnnspec.backends import Backend
    from rnnspec.comparison.random import Found, Outcomes, Search
    from rnnspec.comparison.report import ParityReport
    from rnnspec.comparison.run import Prepared
    from rnnspec.comparison.shards.shard import Shard

Record = dict[str, Any]


def show_given(report: ParityReport, record: Record | None, *, json: bool) -> None:
    """Print the report of given specs."""
    if json:
        tables.print_json(report.as_dict() | _entry(record))
        return
    tables.print_parity(report)
    if record is not None:
        print(_part(record, len(report.specs)))


def show_random(found: Found, again: str, record: Record | None, *, json: bool) -> None:
    """Print the result for random specs; ``again`` are options to see a failure again."""
    if json:
        tables.print_json(found.as_dict() | _entry(record))
        return
    tables.print_random(found, again)
    if record is not None:
        # The output for a spec that differs is YAML.
        mark = "# " if found.spec else ""
        print(f"{mark}{_part(record, len(record['outcomes']))}")


def _entry(record: Record | None) -> Record:
    return {} if record is None else {"shard": record}


def _part(record: Record, size: int) -> str:
    return f"shard {record['number']}/{record['of']}: {size} of {record['cases']} specs"


def given_record(
    shard: Shard, ready: Prepared, chosen: Iterable[Backend], batch: NDArray[Any] | None, seed: int
) -> Record:
    """Return the record of a shard of given specs."""
    chosen = list(chosen)
    asked: Asked = {
        "backends": [each.name for each in chosen],
        "seed": seed,
        "specs": digest(task.network for task in ready.tasks),
        "batch": None if batch is None else digest([batch.dtype, batch.shape, batch.tobytes()]),
    }
    return shard.record(len(ready.tasks), asked, _versions(chosen), {})


def random_record(shard: Shard, search: Search, found: Outcomes, again: str) -> Record:
    """Return the record of a shard of random specs."""
    first, *_ = search.passes
    asked: Asked = {
        "backends": [backend.name for each in search.passes for backend in each.chosen],
        "seed": search.texts.seed,
        "level": first.level,
        "form": first.form,
    }
    chosen = [backend for each in search.passes for backend in each.chosen]
    versions = _versions(chosen) | {"hypothesis": metadata.version("hypothesis")}
    return shard.record(
        found.drawn, asked, versions, of_random(found.outcomes, search.single, again)
    )


def _versions(chosen: Iterable[Backend]) -> dict[str, str]:
    found = environment()
    names = {each.name for each in chosen}
    own = {name: version for name, version in found.backends.items() if name in names}
    engines = {f"engine of {name}": each for name, each in found.engines.items() if name in names}
    python = {"rnnspec": found.rnnspec, "Python": found.python.partition(" ")[0]}
    return python | found.packages | own | engines

"""Breaking long lines."""

from __future__ import annotations

from rnnspec.source.linebreaks import break_lines


def test_as_many_items_as_a_deep_network_has_states() -> None:
    names = [f"lstm_{index}_h" for index in range(2000)]
    entries = [f'"{name}": {name}' for name in names]
    lines = break_lines(f"    return {{{', '.join(entries)}}}").split("\n")
    assert lines == ["    return {", *(f"        {entry}," for entry in entries), "    }"]

"""Common runs of two texts: they lead from one text to the other, and are found quickly."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rnnspec.diff.sequences import matching_blocks

LINES = st.lists(st.sampled_from("abcdef"), max_size=12)


@given(LINES, LINES)
def test_blocks_are_equal_and_rise(before: list[str], after: list[str]) -> None:
    *blocks, end = matching_blocks(before, after)
    assert end == (len(before), len(after), 0)
    assert all(block.size for block in blocks)
    assert all(before[a : a + size] == after[b : b + size] for a, b, size in blocks)
    for one, next_ in pairwise([*blocks, end]):
        assert one.a + one.size <= next_.a
        assert one.b + one.size <= next_.b
        assert next_ == end or (one.a + one.size, one.b + one.size) != (next_.a, next_.b)


def test_what_was_added_taken_away_or_changed_is_found() -> None:
    before = ["import x", "", "class A:", "    a = 1", "", "class B:", "    a = 1", ""]
    after = [*before[:4], "    b = 2", *before[4:6], "    a = 3", ""]
    assert matching_blocks(before, after) == [(0, 0, 4), (4, 5, 2), (7, 8, 1), (8, 9, 0)]
    assert matching_blocks(after, before)[:2] == [(0, 0, 4), (5, 4, 2)]
    assert matching_blocks(before, before) == [(0, 0, 8), (8, 8, 0)]
    assert matching_blocks(before, []) == [(8, 0, 0)]


def test_lines_that_come_again_and_again_take_no_hours() -> None:
    # No line is frequent enough for difflib to ignore it, which would make it fast.
    before, after = ([str(number * step % 101) for number in range(60_000)] for step in (1, 7))
    assert matching_blocks(before, after)[0] == (0, 0, 1)

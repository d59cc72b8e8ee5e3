"""Keys and values offered at a cursor, shown as ``|``, and the descriptions of keys."""

from __future__ import annotations

from typing import Any, get_args

from cases import cases
from hypothesis import given
from hypothesis import strategies as st
from rnnspec_playground import complete, describe, explain

from rnnspec.pages import page
from rnnspec.spec.models import KINDS, LSTM, Head, PoolingName, Spec

HEAD = "version: 1\nname: net\n"
LAYER = list(LSTM.model_fields)
POOLINGS = list(get_args(PoolingName))


def at(text: str) -> tuple[str, int, int]:
    """Return the text without its cursor, and the line and column of the cursor."""
    before, after = text.split("|")
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def offered(text: str) -> list[str]:
    return [option["label"] for option in complete(*at(text))["options"]]


@cases(
    ("text", "labels"),
    [
        ("|", list(Spec.model_fields)),
        ("version: |", ["1"]),
        (f"{HEAD}in|", [key for key in Spec.model_fields if key not in ("version", "name")]),
        (f"{HEAD}rnn:\n  |", ["type"]),
        (f"{HEAD}rnn:\n  - |", ["type"]),
        (f"{HEAD}rnn:\n  type: |", list(KINDS)),
        (f"{HEAD}rnn:\n  - type: repeat\n    |", ["name", "steps"]),
        (f"{HEAD}rnn: {{type: lstm, |}}", [key for key in LAYER if key != "type"]),
        (f"{HEAD}rnn: {{type: lstm, un|", [key for key in LAYER if key != "type"]),
        (f"{HEAD}rnn: {{type: lstm, bidirectional: |}}", ["true", "false"]),
        (f"{HEAD}head:\n  |pooling: max\n", list(Head.model_fields)),
        (f"{HEAD}head:\n  pooling: m|\nrnn: [{{", POOLINGS),
        (f"{HEAD}initializers:\n  bias: |", ["zeros", "ones"]),
        (f"{HEAD}initializers:\n  kernel:\n    |", ["uniform", "normal", "constant"]),
        # A key that other keys exclude is not offered.
        (f"{HEAD}embedding: {{}}\ninput:\n  |", ["length", "mask_value"]),
        (f"{HEAD}# |", []),
        (f"{HEAD}description: free te|", []),
        ("[|", []),
        (f"{'#' * 2**19}\n|", []),
    ],
)
def test_offers_what_fits(text: str, labels: list[str]) -> None:
    assert sorted(offered(text)) == sorted(labels)


def test_replaces_the_word_at_the_cursor() -> None:
    found = complete(*at(f"{HEAD}'é😀': 1\nhead: {{uni|ts: 3}}\n"))
    assert (found["column"], found["end_column"]) == (8, 13)
    units = next(option for option in found["options"] if option["label"] == "units")
    assert units["insert"] == "units"  # the colon is there
    assert units["detail"] == "integer"
    assert units["description"].startswith("The size of the output.")


def test_adds_the_colon_that_is_not_there() -> None:
    (option,) = complete(*at(f"{HEAD}rnn:\n  ty|"))["options"]
    assert (option["label"], option["insert"]) == ("type", "type: ")


def test_a_value_is_explained() -> None:
    found = complete(*at(f"{HEAD}rnn: {{type: g|}}"))["options"]
    descriptions = {option["label"]: option["description"] for option in found}
    assert (
        descriptions["gru"] == "The gated recurrent unit: one state, with update and reset gates."
    )


def test_describes_a_key() -> None:
    found = describe(*at(f"{HEAD}rnn:\n  type: gru\n  re|set_after: true\n"))
    assert found is not None
    assert (found["key"], found["column"], found["end_column"]) == ("reset_after", 3, 14)
    assert found["detail"] == "true or false"
    assert describe(*at(f"{HEAD}rnn:\n  type: g|ru\n")) is None
    assert describe(*at(f"{HEAD}rn|m: 1\n")) is None


def test_explains_a_code() -> None:
    assert explain("E301") == page("E301")
    assert explain("../E301") == ""


@given(st.text("{}[]:-, \n#&*!|>'\"%@tynaem1", max_size=40), st.data())
def test_no_text_makes_it_fail(text: str, data: Any) -> None:
    column = data.draw(st.integers(1, len(text) + 1))
    line = data.draw(st.integers(1, text.count("\n") + 1))
    assert set(complete(text, line, column)) == {"column", "end_column", "options"}
    describe(text, line, column)

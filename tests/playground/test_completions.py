"""Keys and values offered at a cursor, shown as ``|``, and the descriptions of keys."""

from __future__ import annotations

from typing import Any, get_args

from cases import cases
from hypothesis import given
from hypothesis import strategies as st
from rnnspec_playground import complete, describe, explain

from rnnspec.ir import notation
from rnnspec.pages import page
from rnnspec.spec.models import KINDS, LSTM, Cell, CellLayer, Head, NamedInput, PoolingName, Spec
from rnnspec.spec.zoo import zoo_names

HEAD = "version: 1\nname: net\n"
LAYER = list(LSTM.model_fields)
CELL_LAYER = [key for key in CellLayer.model_fields if key not in ("type", "units", "settings")]
POOLINGS = list(get_args(PoolingName))
# Without several inputs, no stream is named.
KEYS = [key for key in Spec.model_fields if key != "stream"]


def at(text: str) -> tuple[str, int, int]:
    """Return the text without its cursor, and the line and column of the cursor."""
    before, after = text.split("|")
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def offered(text: str) -> list[str]:
    return [option["label"] for option in complete(*at(text))["options"]]


@cases(
    ("text", "labels"),
    [
        ("|", KEYS),
        ("version: |", ["1"]),
        (f"{HEAD}in|", [key for key in KEYS if key not in ("version", "name")]),
        (f"{HEAD}rnn:\n  |", ["type"]),
        (f"{HEAD}rnn:\n  - |", ["type"]),
        (f"{HEAD}rnn:\n  type: |", list(KINDS)),
        (f"{HEAD}rnn:\n  - type: repeat\n    |", ["name", "of", "steps", "like"]),
        (f"{HEAD}rnn:\n  - type: repeat\n    steps: 3\n    |", ["name", "of"]),
        (f"{HEAD}rnn: {{type: lstm, |}}", [key for key in LAYER if key != "type"]),
        (f"{HEAD}rnn: {{type: lstm, un|", [key for key in LAYER if key != "type"]),
        (f"{HEAD}rnn: {{type: lstm, bidirectional: |}}", ["true", "false"]),
        (f"{HEAD}head:\n  |pooling: max\n", list(Head.model_fields)),
        (f"{HEAD}head:\n  pooling: m|\nrnn: [{{", POOLINGS),
        (f"{HEAD}initializers:\n  bias: |", ["zeros", "ones"]),
        (f"{HEAD}initializers:\n  kernel:\n    |", ["uniform", "normal", "constant"]),
        (f"{HEAD}inputs:\n  words:\n    |", list(NamedInput.model_fields)),
        (f"{HEAD}inputs:\n  words:\n    per: |", ["step", "sequence"]),
        (f"{HEAD}rnn:\n  - {{type: lstm, initial_state: |}}", ["zeros", "learned", "given"]),
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


CELL = f"""{HEAD}cells:
  mine:
    states: [h, c]
    settings: {{dt: 0.1}}
    equations:
      i: sigmoid(W_i @ x + b_i)
      c: c + dt * i
      h: LINE
      o: late
rnn: {{type: LAYER}}
"""
FUNCTIONS = [*notation.FUNCTIONS, *notation.OTHER_FUNCTIONS]
NAMES = ["h", "c", "i", "dt", "x", "W_i", "b_i", "late", *FUNCTIONS]


@cases(
    ("text", "labels"),
    [
        (CELL.replace("LINE", "tanh(c+i|"), NAMES),
        (CELL.replace("LINE", "|"), NAMES),
        (CELL.replace("LINE", "'U @ (h * |'"), [*NAMES[: -len(FUNCTIONS)], "U", *FUNCTIONS]),
        (CELL.replace("h: LINE", "|"), ["h"]),
        (CELL.replace("late", "late\n    output: |").replace("LINE", "h"), [*NAMES, "o"]),
        (
            CELL.replace("equations:", "initialize: {|}\n    equations:"),
            ["W_i", "b_i", "LINE", "late"],
        ),
        (CELL.replace("LAYER", "|"), [*KINDS, "mine"]),
        (CELL.replace("LAYER", "mine, units: 2, d|"), [*CELL_LAYER, "dt"]),
        (f"{HEAD}cells:\n  mine: {{from: |}}", zoo_names()),
        (f"{HEAD}cells:\n  mine: {{|}}", [*Cell.model_fields, "from"]),
        (
            f"{HEAD}cells: {{mine: {{equations: [{{repeat: 2, equations: {{h: a, z: |}}}}]}}}}",
            ["h", "x", "a", *FUNCTIONS],
        ),
    ],
)
def test_offers_the_names_of_a_cell(text: str, labels: list[str]) -> None:
    assert sorted(offered(text)) == sorted(labels)


def test_a_name_of_an_equation_has_its_kind_and_a_function_its_parenthesis() -> None:
    found = complete(*at(CELL.replace("LINE", "c+ta|nh * 2")))
    assert (found["column"], found["end_column"]) == (12, 16)
    options = {option["label"]: (option["insert"], option["detail"]) for option in found["options"]}
    assert options["tanh"] == ("tanh(", "tanh(value)")
    assert options["where"] == ("where(", "where(a > b, c, d)")
    assert options["dt"] == ("dt", "setting, 0.1 by default")
    assert [options[name][1] for name in ("c", "i", "x", "b_i")] == [
        "state", "line", "the input", "parameter",
    ]  # fmt: skip
    (tanh,) = (
        option for option in complete(*at(CELL.replace("LINE", "t|(c)")))["options"]
        if option["label"] == "tanh"
    )  # fmt: skip
    assert tanh["insert"] == "tanh"


@given(st.integers(0, len(CELL)), st.sampled_from(["", "[", "{", ": 1", "'", "- ", "\n"]))
def test_no_text_of_a_cell_makes_it_fail(place: int, more: str) -> None:
    before = f"{CELL[:place]}{more}"
    complete(*at(f"{before}|{CELL[place:]}"))
    complete(*at(f"{before}|"))


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

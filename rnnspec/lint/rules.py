"""Every rule by its code, and the choice among them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnspec.errors import UsageError
from rnnspec.lint import dropout, entrance, head, recurrent, speed, symmetry
from rnnspec.lint.context import Rule
from rnnspec.spec.wording import nearest, quoted

RULES = (
    Rule("L101", "note", recurrent.plain_cell),
    Rule("L102", "warning", recurrent.too_far_back),
    Rule("L103", "note", recurrent.one_direction),
    Rule("L104", "note", recurrent.one_layer),
    Rule("L105", "warning", recurrent.unbounded_state),
    Rule("L106", "warning", recurrent.odd_gate),
    Rule("L107", "note", recurrent.bottleneck),
    Rule("L108", "note", recurrent.forgetful_start),
    Rule("L109", "warning", symmetry.equal_units),
    Rule("L110", "note", recurrent.deep_stack),
    Rule("L121", "note", dropout.high_dropout),
    Rule("L122", "note", dropout.stock_ignores_it),
    Rule("L123", "warning", dropout.nothing_left),
    Rule("L201", "note", entrance.pretrain),
    Rule("L202", "warning", entrance.frozen_noise),
    Rule("L203", "note", entrance.wide_embedding),
    Rule("L204", "warning", entrance.one_token),
    Rule("L205", "note", entrance.no_row_for_padding),
    Rule("L206", "note", entrance.padding_is_read),
    Rule("L207", "warning", entrance.one_step),
    Rule("L208", "note", entrance.many_parameters),
    Rule("L209", "note", entrance.zero_is_padding),
    Rule("L210", "note", entrance.padding_in_loss),
    Rule("L301", "warning", head.certain_softmax),
    Rule("L302", "note", head.independent_classes),
    Rule("L303", "warning", head.two_linear_maps),
    Rule("L304", "warning", head.one_step_to_pool),
    Rule("L305", "warning", head.softmax_inside),
    Rule("L306", "note", head.dead_output),
    Rule("L401", "note", speed.unfused("recurrent_dropout")),
    Rule("L402", "note", speed.unfused("activation", "recurrent_activation")),
    Rule("L403", "note", speed.unfused("reset_after")),
)

UNKNOWN_IGNORE = "L901"
UNUSED_IGNORE = "L902"
CODES = (*(rule.code for rule in RULES), UNKNOWN_IGNORE, UNUSED_IGNORE)
_DONE = {"--select": "selected", "--ignore": "ignored"}


def chosen(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """Return the codes that begin with a word of ``select`` (all, without any) and not ``ignore``.

    Raises:
        UsageError: no code begins with a word.
    """
    asked = _matching("--select", select) if select else frozenset(CODES)
    return asked - _matching("--ignore", ignore)


def _matching(option: str, given: Sequence[str]) -> frozenset[str]:
    words = [word.strip().upper() for text in given for word in text.split(",")]
    found: set[str] = set()
    for word in words:
        codes = [code for code in CODES if word and code.startswith(word)]
        if is_error(word):
            raise UsageError(f"{option}: {no_choice(word, _DONE[option])}")
        if not codes:
            raise UsageError(f"{option}: {unknown(word)}")
        found.update(codes)
    return frozenset(found)


def is_error(code: str) -> bool:
    """Tell whether ``code`` is that of an error, or the beginning of one."""
    return re.fullmatch(r"[Ee]\d{0,3}", code) is not None


def no_choice(code: str, what: str) -> str:
    """Say that errors cannot be ``what``: selected or ignored."""
    return f"errors cannot be {what} ({code}); the codes of advice are {CODES[0]} to {CODES[-1]}"


def unknown(code: str) -> str:
    """Say that there is no such code of advice, and which was probably meant."""
    word = nearest(code, map(str.lower, CODES))
    hint = f"did you mean {word.upper()!r}?" if word else f"the codes are {CODES[0]} to {CODES[-1]}"
    return f"unknown code {quoted(code)}; {hint}"

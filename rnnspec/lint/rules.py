"""All rules by code, and the selection of rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnspec.errors import UsageError
from rnnspec.errors.wording import nearest, quoted
from rnnspec.lint import head, inputs, recurrent, stack
from rnnspec.lint.context import Rule

# By the first digits: L10 and L11 are for recurrent layers, L12 for dropout, L13 for cells by
# equations, L2 for the input, L3 for the head, L4 for speed, L5 for other layers and L9 for
# suppression comments.
RULES = (
    Rule("L101", "note", recurrent.plain_cell),
    Rule("L102", "warning", recurrent.too_far_back),
    Rule("L103", "note", recurrent.one_direction),
    Rule("L104", "note", recurrent.one_layer),
    Rule("L105", "warning", recurrent.unbounded_state),
    Rule("L106", "warning", recurrent.odd_gate),
    Rule("L107", "note", recurrent.bottleneck),
    Rule("L108", "note", recurrent.forgetful_start),
    Rule("L109", "warning", recurrent.equal_units),
    Rule("L110", "note", recurrent.deep_stack),
    Rule("L121", "note", recurrent.high_dropout),
    Rule("L122", "note", recurrent.ignored_by_stock),
    Rule("L123", "warning", recurrent.nothing_left),
    Rule("L131", "note", recurrent.waiting_for_nothing),
    Rule("L132", "note", recurrent.almost_built_in),
    Rule("L201", "note", inputs.pretrain),
    Rule("L202", "warning", inputs.frozen_noise),
    Rule("L203", "note", inputs.wide_embedding),
    Rule("L204", "warning", inputs.one_token),
    Rule("L205", "note", inputs.uncounted_padding),
    Rule("L206", "note", inputs.unmasked_padding),
    Rule("L207", "warning", inputs.one_step),
    Rule("L208", "note", inputs.many_parameters),
    Rule("L209", "note", inputs.zero_is_padding),
    Rule("L210", "note", inputs.padding_in_loss),
    Rule("L301", "warning", head.certain_softmax),
    Rule("L302", "note", head.independent_classes),
    Rule("L303", "warning", head.two_linear_maps),
    Rule("L304", "warning", head.one_step_to_pool),
    Rule("L305", "warning", head.softmax_inside),
    Rule("L306", "note", head.dead_output),
    Rule("L307", "note", head.final_state_as_last_step),
    Rule("L308", "note", head.one_step_backwards),
    Rule("L401", "note", recurrent.not_fused("recurrent_dropout")),
    Rule("L402", "note", recurrent.not_fused("activation", "recurrent_activation")),
    Rule("L403", "note", recurrent.not_fused("reset_after")),
    Rule("L501", "note", stack.bias_before_norm),
    Rule("L502", "warning", stack.activated_twice),
    Rule("L503", "note", stack.long_flatten),
    Rule("L504", "warning", stack.single_window),
    Rule("L505", "note", stack.dropout_before_norm),
    Rule("L506", "warning", stack.other_momentum),
)

UNKNOWN_IGNORE = "L901"
UNUSED_IGNORE = "L902"
CODES = (*(rule.code for rule in RULES), UNKNOWN_IGNORE, UNUSED_IGNORE)
_VERBS = {"--select": "selected", "--ignore": "ignored"}


def select_codes(select: Sequence[str], ignore: Sequence[str]) -> frozenset[str]:
    """Return the codes with a prefix in ``select`` (empty: all) and none in ``ignore``.

    Raises:
        UsageError: a prefix matches no code.
    """
    selected = _codes_with_prefixes("--select", select) if select else frozenset(CODES)
    return selected - _codes_with_prefixes("--ignore", ignore)


def _codes_with_prefixes(option: str, values: Sequence[str]) -> frozenset[str]:
    matching: set[str] = set()
    for prefix in (prefix.strip().upper() for value in values for prefix in value.split(",")):
        # An empty prefix, as in 'L101,', would match every code.
        codes = [code for code in CODES if prefix and code.startswith(prefix)]
        if is_error(prefix):
            raise UsageError(f"{option}: {not_advice(prefix, _VERBS[option])}")
        if not codes:
            raise UsageError(f"{option}: {unknown_code(prefix)}")
        matching.update(codes)
    return frozenset(matching)


def is_error(code: str) -> bool:
    """True if ``code`` is the code of an error, or a prefix of one."""
    return re.fullmatch(r"[Ee]\d{0,3}", code) is not None


def not_advice(code: str, verb: str) -> str:
    """Return the message about an error code that was to be selected or ignored."""
    return f"errors cannot be {verb} ({code}); expected a code from {CODES[0]} to {CODES[-1]}"


def unknown_code(code: str) -> str:
    """Return the message about an unknown code, with the most similar one."""
    similar = nearest(code, map(str.lower, CODES))
    if similar:
        return f"unknown code {quoted(code)}; did you mean {similar.upper()!r}?"
    return f"unknown code {quoted(code)}; expected a code from {CODES[0]} to {CODES[-1]}"

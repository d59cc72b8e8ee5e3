"""The schedule of a cell: what is computed once, for all steps at once, and in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rnnspec.ir.equations import Line
from rnnspec.ir.nodes import EquationCell
from rnnspec.ir.parser import parse
from rnnspec.ir.schedule import JoinedProduct, JoinedSum, most_common_function, schedule, targets
from rnnspec.lowering.cells import take_once
from rnnspec.source.expressions import ExpressionWriter

if TYPE_CHECKING:
    from rnnspec.ir.schedule import Statement

FUNCTIONS = ("sigmoid", "tanh")
WRITER = ExpressionWriter({name: name for name in FUNCTIONS})


def text(statement: Statement) -> str:
    match statement:
        case Line(name=name, value=value):
            return f"{name} = {WRITER.write(value)}"
        case JoinedProduct(biases=biases):
            matrices = " ".join(WRITER.write(matrix) for matrix in statement.matrices)
            bias = " ".join("0" if part is None else WRITER.write(part) for part in biases)
            added = f" + [{bias}]" if bias else ""
            return f"{statement.name} = [{matrices}] @ {WRITER.write(statement.vector, 3)}{added}"
        case JoinedSum(names=names, slices=slices):
            parts = " + ".join(f"{part.product}[{part.start}:{part.stop}]" for part in slices)
            return f"{' '.join(names)} = {parts}"


@pytest.mark.parametrize(
    ("equations", "states", "constants", "before", "step", "inputs"),
    [
        pytest.param(
            """
            i: sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)
            f: sigmoid(W_f @ x + U_f @ h + p_f * c + b_f)
            g: tanh(W_g @ x + U_g @ h)
            c: f * c + i * g
            h: tanh(c)
            """,
            ("h", "c"),
            [],
            ["x_product = [W_i W_f W_g] @ x + [b_i b_f 0]"],
            [
                "h_product = [U_i U_f U_g] @ h",
                "i_sum f_sum g_sum = x_product[0:3] + h_product[0:3]",
                "i = sigmoid(i_sum + p_i * c)",
                "f = sigmoid(f_sum + p_f * c)",
                "g = tanh(g_sum)",
                "c = f * c + i * g",
                "h = tanh(c)",
            ],
            ("x_product",),
            id="gates_are_one_product",
        ),
        pytest.param(
            """
            f: sigmoid(W_f @ x + U_f @ h + b_f)
            n: tanh(W_n @ x + U_n @ (f * h) + b_n)
            h: (1 - f) * h + f * n
            """,
            ("h",),
            [],
            ["x_product = [W_f W_n] @ x + [b_f b_n]"],
            [
                "h_product = [U_f] @ h",
                "f_sum = x_product[0:1] + h_product[0:1]",
                "f = sigmoid(f_sum)",
                "vector_product = [U_n] @ (f * h)",
                "n_sum = x_product[1:2] + vector_product[0:1]",
                "n = tanh(n_sum)",
                "h = (1 - f) * h + f * n",
            ],
            ("x_product",),
            id="a_product_waits_for_its_vector",
        ),
        pytest.param(
            """
            z: sigmoid(W_z @ x + b_z)
            h: (1 - z) * h + sigmoid(a) * z * (W_n @ x)
            """,
            ("h",),
            ["h_constant = sigmoid(a)"],
            [
                "x_product = [W_z W_n] @ x + [b_z 0]",
                "z_sum h_sum = x_product[0:2]",
                "z = sigmoid(z_sum)",
                "h_x = 1 - z",
                "h_x_2 = h_constant * z * h_sum",
            ],
            ["h = h_x * h + h_x_2"],
            ("h_x", "h_x_2"),
            id="what_no_state_decides_is_before_the_loop",
        ),
        pytest.param(
            """
            a: 1 * tanh(W_a @ x + U_a @ h + b_a + q_a)
            n: tanh(U_n @ (a * h) + tanh(W_n @ x) - k + b_n)
            h: n
            """,
            ("h",),
            [],
            [
                "x_product = [W_a W_n] @ x + [b_a + q_a 0]",
                "n_sum_2 = x_product[1:2]",
                "n_x = tanh(n_sum_2) + b_n - k",
            ],
            [
                "h_product = [U_a] @ h",
                "a_sum = x_product[0:1] + h_product[0:1]",
                "a = tanh(a_sum)",
                "vector_product = [U_n] @ (a * h)",
                "n_sum = vector_product[0:1]",
                "n = tanh(n_sum + n_x)",
                "h = n",
            ],
            ("x_product", "n_x"),
            id="terms_that_are_known_before_a_sum_are_one",
        ),
    ],
)
def test_a_schedule_is_what_a_person_would_write(  # noqa: PLR0917
    equations: str,
    states: tuple[str, ...],
    constants: list[str],
    before: list[str],
    step: list[str],
    inputs: tuple[str, ...],
) -> None:
    plan = schedule(parse(equations, states, FUNCTIONS))
    assert [text(line) for line in plan.constants] == constants
    assert [text(statement) for statement in plan.before] == before
    assert [text(statement) for statement in plan.step] == step
    assert plan.inputs == inputs


def test_products_of_what_is_the_same_at_each_step_are_computed_once() -> None:
    whole = parse(
        """
        i: sigmoid(W_i @ x[1:3] + b_i)
        a: tanh(W_a @ x + V_a @ x[1:3])
        h: i * tanh(V_h @ x[1:3] + U_h @ h) + a
        """,
        ("h",),
        FUNCTIONS,
    )
    cell = EquationCell(name="own", equations=whole, initializers=(), sizes=())
    plan = schedule(take_once(cell, 3, [range(1, 3)]).equations)
    product, *rest = plan.once
    assert isinstance(product, JoinedProduct)
    assert len(product.matrices) == 3
    assert [targets(statement) for statement in rest] == [("i_sum",), ("i",)]
    products = [part.name for part in plan.before if isinstance(part, JoinedProduct)]
    assert products == ["x_product"]
    assert [part.name for part in plan.products] == ["h_product"]
    # Of a part of those features, the rest may change.
    assert not schedule(take_once(cell, 3, [range(2, 3)]).equations).once


def test_what_mixes_two_values_at_once_leaves_their_shares_side_by_side() -> None:
    equations = parse(
        """
        z: sigmoid(W @ x)
        h: tanh(h) * z + h * (1 - z)
        """,
        ("h",),
        FUNCTIONS,
    )
    (mixed,) = schedule(equations, mixes=True).step
    assert text(mixed) == "h = z * tanh(h) + (1 - z) * h"
    (apart,) = schedule(equations).step
    assert text(apart) == "h = tanh(h) * z + h * h_x"


def test_numbers_are_folded_and_repeated_lines_share_their_product() -> None:
    plan = schedule(
        parse(
            """
            k: 2 * 0.25
            f: tanh(W @ x + U @ h + b)
            g: tanh(W @ x + U @ f + b) * (1 - k)
            h: g + minimum(3, k + 1) * f
            """,
            ("h",),
            FUNCTIONS,
        )
    )
    assert plan.constants == ()
    assert [text(statement) for statement in plan.before] == ["x_product = [W] @ x + [b]"]
    assert [text(statement) for statement in plan.step] == [
        "h_product = [U] @ h",
        "f_sum = x_product[0:1] + h_product[0:1]",
        "f = tanh(f_sum)",
        "f_product = [U] @ f",
        "g_sum = x_product[0:1] + f_product[0:1]",
        "g = tanh(g_sum) * 0.5",
        "h = g + 1.5 * f",
    ]


RESET = """
    z: sigmoid((W_z @ x + b_z) + (U_z @ h + d_z))
    r: sigmoid((W_r @ x + b_r) + (U_r @ h + d_r))
    n: tanh((W_n @ x + b_n) + r * (U_n @ h + d_n))
    h: z * h + (1 - z) * n
"""
RESET_FIRST = """
    z: sigmoid(W_z @ x + b_z + U_z @ h)
    r: sigmoid(W_r @ x + b_r + U_r @ h)
    n: tanh(W_n @ x + b_n + U_n @ (r * h))
    h: z * h + (1 - z) * n
"""


@pytest.mark.parametrize(
    ("equations", "before", "step"),
    [
        pytest.param(
            RESET,
            ["x_product = [W_r W_z W_n] @ x + [b_r b_z b_n]", "r_sum z_sum n_sum = x_product[0:3]"],
            [
                "h_product = [U_r U_z U_n] @ h + [d_r d_z d_n]",
                "r_sum_2 z_sum_2 n_sum_2 = h_product[0:3]",
                "r = sigmoid(r_sum + r_sum_2)",
                "z = sigmoid(z_sum + z_sum_2)",
                "n = tanh(n_sum + r * n_sum_2)",
                "h = z * h + (1 - z) * n",
            ],
            id="a_product_with_another_place_is_apart",
        ),
        pytest.param(
            RESET_FIRST,
            ["x_product = [W_r W_z W_n] @ x + [b_r b_z b_n]"],
            [
                "h_product = [U_r U_z] @ h",
                "r_sum z_sum = x_product[0:2] + h_product[0:2]",
                "r = sigmoid(r_sum)",
                "z = sigmoid(z_sum)",
                "vector_product = [U_n] @ (r * h)",
                "n_sum = x_product[2:3] + vector_product[0:1]",
                "n = tanh(n_sum)",
                "h = z * h + (1 - z) * n",
            ],
            id="a_whole_product_is_added_up",
        ),
    ],
)
def test_packed_parameters_are_in_the_order_of_their_arrays(
    equations: str, before: list[str], step: list[str]
) -> None:
    packed = tuple(tuple(f"{array}_{gate}" for gate in "rzn") for array in "WUbd")
    plan = schedule(parse(equations, ("h",), FUNCTIONS), packed=packed)
    assert [text(statement) for statement in plan.before] == before
    assert [text(statement) for statement in plan.step] == step


def test_a_sum_knows_the_function_of_its_parts() -> None:
    equations = """
    i: sigmoid(W_i @ x + U_i @ h)
    f: sigmoid(W_f @ x + U_f @ h)
    g: tanh(W_g @ x + U_g @ h)
    k: W_k @ x + U_k @ h
    c: tanh(W_c @ x + U_c @ h)
    h: (i + f) * g + k + c
    """
    plan = schedule(parse(equations, ("h", "c"), FUNCTIONS))
    (total,) = (part for part in plan.step if isinstance(part, JoinedSum))
    applied = plan.functions_of(total)
    assert applied == {
        "i_sum": ("i", "sigmoid"),
        "f_sum": ("f", "sigmoid"),
        "g_sum": ("g", "tanh"),
    }
    assert most_common_function(applied) == ("sigmoid", 2)
    assert most_common_function({}) == ("", 0)

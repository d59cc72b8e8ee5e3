"""The frameworks' own optimizers: what is known to differ is named, and nothing else passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from offered import registered, require_all

import rnnspec
from rnnspec.backends import get, needs
from rnnspec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnspec.backends.optimizers import Optimizer
    from rnnspec.comparison.report import ParityReport

TOKENS = """\
version: 1
name: tokens
embedding: {vocabulary: 9, dim: 3}
rnn: {type: gru, units: 3}
"""
FEATURES = """\
version: 1
name: features
input: {features: 2, mask_value: 0.0}
rnn: {type: lstm, units: 3, dropout: 0.5}
"""
# If one is gone, the framework has changed: remove it from the record and from docs/concepts.
OF_KERAS = {"tokens": ["epsilon", "rounded", "repeated"], "features": ["epsilon", "rounded"]}


def compared(text: str, backends: list[str] | None = None) -> ParityReport:
    return rnnspec.parity(rnnspec.loads(text), backends, optimizer="own")


@pytest.mark.parametrize("text", [TOKENS, FEATURES])
def test_each_known_difference_is_there_and_no_other(text: str) -> None:
    require_all(needs.OPTIMIZERS)
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tests/extended/engines has the other engines")
    report = compared(text)
    assert (report.equal, report.level) == (True, "training")
    (spec,) = report.specs
    assert list(spec.own) == ["SGD", "Adam", "AdamW"]
    for backend, result in spec.backends.items():
        for name, found in result.own.items():
            causes = OF_KERAS[spec.name] if backend == "keras" and name != "SGD" else []
            assert list(found.known) == causes
            assert found.rest < 1e-12
            assert all(
                1e-7 < part <= 2.0 * found.finding.difference for part in found.known.values()
            )
            assert bool(causes) == (found.finding.difference > 1e-7)
    said = report.as_dict()["specs"][0]["backends"]["keras"]["own_optimizers"]["AdamW"]
    assert list(said["known"]) == OF_KERAS[spec.name]
    page = report._repr_html_()
    assert page.count("is known to differ") == 2
    assert page.count("epsilon is added before the bias correction") == 2


def test_an_unknown_difference_is_none_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    require_all(needs.OPTIMIZERS)
    from rnnspec.backends.torch import runtime

    made: Callable[..., Any] = runtime._make_optimizer

    def hasty(given: Optimizer, parameters: Any) -> Any:
        rate = given.rate * (1.001 if given.name == "AdamW" else 1.0)
        return made(replace(given, rate=rate), parameters)

    monkeypatch.setattr(runtime, "_make_optimizer", hasty)
    keras = replace(get("keras"), causes=lambda: ("rounded", "repeated"))
    with registered(keras, get("torch")):
        report = compared(FEATURES)
    assert [(difference.backend, difference.quantity) for difference in report.differences] == [
        ("keras", "keras.optimizers.Adam"),
        ("keras", "keras.optimizers.AdamW"),
        ("torch", "torch.optim.AdamW"),
    ]
    (spec,) = report.specs
    assert list(spec.backends["keras"].own["Adam"].known) == ["rounded"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "gradients"}, "compared at the level training, received the level gradients"),
        ({"dtype": "float32"}, "compared in float64, received the dtype float32"),
        ({"form": "inference"}, "source for inference does not train"),
        ({"backends": ["onnx", "torch"]}, "onnx cannot be compared up to training"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; expected reference or own"),
    ],
)
def test_it_is_refused_where_nothing_trains(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rnnspec.parity(rnnspec.loads(FEATURES), **{"optimizer": "own", **options})


def test_a_backend_without_optimizers_is_refused() -> None:
    plain = replace(get("torch"), optimizers="")
    with (
        registered(plain, get("jax")),
        pytest.raises(UsageError, match="torch cannot train with an optimizer of its own; jax can"),
    ):
        compared(FEATURES, ["torch", "jax"])

"""Graphs of layers in modules of PyTorch: code as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cases import cases

import rnnspec
from rnnspec.errors import ModelError

torch = pytest.importorskip("torch")
torch_modules = pytest.importorskip("importing.torch_modules")
nn: Any = torch.nn


@cases("module", torch_modules.read("graphs.txt"))
def test_a_graph_that_a_person_wrote(module: Any) -> None:
    # Each is compared with its module, too.
    text = rnnspec.from_torch(module.make()).spec.document.text
    assert [part for part in module.told if part not in text] == [], text


def test_an_example_by_names_tells_the_features() -> None:
    def forward(m: Any, x: Any, *, static: Any) -> Any:
        copies = static.unsqueeze(1).expand(-1, x.shape[1], -1)
        return m.out(m.rnn(torch.cat([x, copies], -1))[0])

    module = torch_modules.net(forward, rnn=torch_modules.lstm(5), out=nn.Linear(4, 1))
    with pytest.raises(ModelError, match=r"expected known numbers of features"):
        rnnspec.from_torch(module)
    example = {"x": torch.randn(2, 6, 3), "static": torch.randn(2, 2)}
    text = rnnspec.from_torch(module, example).spec.document.text
    assert "static: {features: 2, per: sequence}" in text
    with pytest.raises(rnnspec.errors.UsageError, match="expected arguments of forward"):
        rnnspec.from_torch(module, {"x": example["x"], "other": example["static"]})


@cases(
    "second, other, message",
    {
        "steps": (
            lambda: nn.Linear(2, 4),
            lambda: torch.randn(2, 2),
            "'z': it may be a sequence or a vector",
        ),
        "tokens": (
            lambda: nn.Embedding(9, 4),
            lambda: torch.arange(2),
            "'z': it may be tokens or a label of each sequence",
        ),
    },
)
def test_an_argument_with_two_meanings_needs_an_example(
    second: Callable[[], Any], other: Callable[[], Any], message: str
) -> None:
    def make() -> Any:
        return torch_modules.net(
            lambda m, x, z: m.rnn(x)[0] + m.two(z), rnn=nn.GRU(3, 4), two=second()
        )

    # The steps come first, so that either is added to them.
    with pytest.raises(ModelError, match=message):
        rnnspec.from_torch(make())
    model = rnnspec.from_torch(make(), {"x": torch.randn(5, 2, 3), "z": other()})
    assert "per: sequence" in model.spec.document.text
    with pytest.raises(rnnspec.errors.RnnspecError, match="example"):
        rnnspec.from_torch(make(), {"x": torch.randn(2, 3), "z": torch.randn(3)})

"""Graphs of layers in modules of PyTorch: our own source, and code as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphs
import pytest
from cases import cases

import rnnspec
from rnnspec.errors import ModelError

torch = pytest.importorskip("torch")
torch_modules = pytest.importorskip("importing.torch_modules")
nn: Any = torch.nn
START = "version: 1\nname: n\n"
PADDED = (
    f"{START}input: {{features: 3, mask_value: 2}}\n"
    "rnn: {type: lstm, units: 4, bidirectional: true}\nhead: {units: 2}\n"
)


@cases(
    "text",
    {
        "translation": graphs.TRANSLATION,
        "given": graphs.GIVEN,
        "streamed": graphs.STREAMED,
        "copied": graphs.COPIED,
        "padded": PADDED,
    },
)
def test_own_source_of_a_graph_gives_its_network(text: str) -> None:
    spec = rnnspec.loads(text)
    for form in ("training", "inference"):
        torch.manual_seed(0)
        model = rnnspec.build(spec, "torch", form=form)
        # It is compared with its module, too, by the names of the inputs.
        read = rnnspec.from_torch(model)
        assert rnnspec.summary(read.spec).parameters == rnnspec.summary(spec).parameters


def test_given_states_of_own_source_are_given() -> None:
    read = rnnspec.from_torch(rnnspec.build(rnnspec.loads(graphs.GIVEN), "torch"))
    text = read.spec.document.text
    assert "{type: lstm, units: 3, layers: 2, initial_state: given}\n" in text
    assert "input: {features: 2, mask_value: 2.0}\n" in text


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
    assert "static_input: {features: 2, per: sequence}" in text
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

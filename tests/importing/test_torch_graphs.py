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


class Module(nn.Module):  # type: ignore[misc]
    """Layers that a function calls by the names of its arguments."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        for name, part in parts.items():
            setattr(self, name, part)


class Attributes(Module):
    def forward(self, x: Any, *, static: Any) -> Any:
        copies = static.unsqueeze(1).expand(-1, x.shape[1], -1)
        return self.out(self.rnn(torch.cat([x, copies], -1))[0])


class Branches(Module):
    def forward(self, x: Any, y: Any) -> Any:
        joined = torch.cat([self.one(x)[1][-1], self.two(y)[1][-1]], 1)
        return {"policy": self.policy(joined), "value": self.value(joined)}


class Translator(Module):
    def forward(self, source: Any, target: Any) -> Any:
        _, states = self.encoder(self.table(source))
        output, _ = self.decoder(self.table(target), states)
        return self.out(output)


class Learned(Module):
    def forward(self, x: Any) -> Any:
        h = self.h0.expand(-1, x.size(0), -1).contiguous()
        return self.rnn(x, (h, self.c0.repeat(1, x.size(0), 1)))[0]


class Backward(Module):
    def forward(self, x: Any) -> Any:
        return torch.cat([self.one(x)[0], self.two(x.flip(1))[0].flip(1)], -1)


class Queried(Module):
    def forward(self, x: Any) -> Any:
        output, (h, _) = self.rnn(x)
        scores = torch.bmm(output, h[-1].unsqueeze(2)).squeeze(2)
        weights = torch.softmax(scores, 1)
        return self.out(torch.bmm(output.transpose(1, 2), weights.unsqueeze(2)).squeeze(2))


class Gated(Module):
    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0] * torch.sigmoid(self.gate(x))


class Pooled(Module):
    def forward(self, x: Any) -> Any:
        vector = self.middle(self.rnn(x)[0].mean(1))
        return self.again(vector.unsqueeze(1).repeat(1, x.shape[1], 1))[0]


class Both(Module):
    def forward(self, x: Any) -> Any:
        _, (h, c) = self.rnn(x)
        return self.out(torch.cat((h[-1], c[-1]), 1))


class Given(Module):
    def forward(self, x: Any, state: Any) -> Any:
        output, h = self.rnn(x, state)
        return self.out(output), h[-1]


class Repeated(Module):
    def forward(self, x: Any, z: Any) -> Any:
        copies = self.one(x)[1][-1].unsqueeze(1).expand(-1, z.shape[1], -1)
        return self.two(copies)[0], self.three(z)[1][-1]


class Averaged(Module):
    def forward(self, x: Any, z: Any) -> Any:
        return self.one(x)[0].sum(1) / z.shape[1], self.two(z)[1][-1]


class Beside(Module):
    def forward(self, x: Any, z: Any) -> Any:
        return self.rnn(x)[0] + self.two(z)


class Passed(Module):
    def forward(self, x: Any) -> Any:
        return self.two(x, self.one(x)[1])[0]


def gru(features: int = 3, **words: Any) -> Any:
    return nn.GRU(features, 4, batch_first=True, **words)


def lstm(features: int = 3, **words: Any) -> Any:
    return nn.LSTM(features, 4, batch_first=True, **words)


WRITTEN: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "branches": (
        lambda: Branches(one=gru(), two=gru(2), policy=nn.Linear(8, 2), value=nn.Linear(8, 1)),
        ("y: {features: 2}", "of: [one.state, two.state]", "policy:", "value:"),
    ),
    "translator": (
        lambda: Translator(
            table=nn.Embedding(9, 3),
            encoder=lstm(num_layers=2),
            decoder=lstm(num_layers=2),
            out=nn.Linear(4, 9),
        ),
        ("target: {embedding: source}", "initial_state: {of: lstm_3}"),
    ),
    "learned": (
        lambda: Learned(
            rnn=lstm(), h0=nn.Parameter(torch.randn(1, 1, 4)), c0=nn.Parameter(torch.randn(1, 1, 4))
        ),
        ("initial_state: learned",),
    ),
    "backward": (lambda: Backward(one=lstm(), two=lstm()), ("direction: backward",)),
    "queried": (lambda: Queried(rnn=lstm(), out=nn.Linear(4, 2)), ("query: rnn.state",)),
    "gated": (lambda: Gated(rnn=lstm(), gate=nn.Linear(3, 4)), ("type: multiply",)),
    "pooled": (
        lambda: Pooled(rnn=gru(), middle=nn.Linear(4, 6), again=gru(6)),
        ("pooling: mean", "like: input"),
    ),
    "both": (lambda: Both(rnn=lstm(), out=nn.Linear(8, 2)), ("[rnn.state, rnn.cell]",)),
    "given": (
        lambda: Given(rnn=gru(), out=nn.Linear(4, 2)),
        ("state_input: {features: 4, per: sequence}", "initial_state: {h: state_input}"),
    ),
    "passed": (
        lambda: Passed(one=gru(bidirectional=True), two=gru(bidirectional=True)),
        ("initial_state: {of: one}",),
    ),
}


@cases("make, parts", WRITTEN)
def test_a_graph_that_a_person_wrote(make: Callable[[], Any], parts: tuple[str, ...]) -> None:
    # Each is compared with its module, too.
    text = rnnspec.from_torch(make()).spec.document.text
    assert [part for part in parts if part not in text] == [], text


def test_an_example_by_names_tells_the_features() -> None:
    module = Attributes(rnn=lstm(5), out=nn.Linear(4, 1))
    with pytest.raises(ModelError, match=r"expected known numbers of features"):
        rnnspec.from_torch(module)
    example = {"x": torch.randn(2, 6, 3), "static": torch.randn(2, 2)}
    text = rnnspec.from_torch(module, example).spec.document.text
    assert "static_input: {features: 2, per: sequence}" in text
    with pytest.raises(rnnspec.errors.UsageError, match="expected arguments of forward"):
        rnnspec.from_torch(module, {"x": example["x"], "other": example["static"]})


def test_inputs_that_are_not_joined_have_steps_of_their_own() -> None:
    module = Repeated(one=gru(), two=gru(4), three=gru())
    assert "like: z" in rnnspec.from_torch(module).spec.document.text
    with pytest.raises(ModelError, match="expected no size beside a vector"):
        rnnspec.from_torch(Averaged(one=gru(), two=gru()))


@cases(
    "make, other, message",
    {
        "steps": (
            lambda: Beside(rnn=nn.GRU(3, 4), two=nn.Linear(2, 4)),
            lambda: torch.randn(2, 2),
            "'z': it may be a sequence or a vector",
        ),
        "tokens": (
            lambda: Beside(rnn=nn.GRU(3, 4), two=nn.Embedding(9, 4)),
            lambda: torch.arange(2),
            "'z': it may be tokens or a label of each sequence",
        ),
    },
)
def test_an_argument_with_two_meanings_needs_an_example(
    make: Callable[[], Any], other: Callable[[], Any], message: str
) -> None:
    # The steps come first, so that either is added to them.
    with pytest.raises(ModelError, match=message):
        rnnspec.from_torch(make())
    model = rnnspec.from_torch(make(), {"x": torch.randn(5, 2, 3), "z": other()})
    assert "per: sequence" in model.spec.document.text
    with pytest.raises(rnnspec.errors.RnnspecError, match="example"):
        rnnspec.from_torch(make(), {"x": torch.randn(2, 3), "z": torch.randn(3)})

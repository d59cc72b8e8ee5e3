"""Encoders and decoders of PyTorch with attention, as tutorials write them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from cases import cases

import rnnspec
from rnnspec.errors import ModelError

torch = pytest.importorskip("torch")
nn: Any = torch.nn
functional = nn.functional


class Module(nn.Module):  # type: ignore[misc]
    """A module with layers by their names."""

    def __init__(self, **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)


def sides(kind: str = "GRU", **layers: Any) -> dict[str, Any]:
    """Return the layers of an encoder and a decoder, and others."""
    return {
        "source_table": nn.Embedding(9, 3),
        "target_table": nn.Embedding(8, 3),
        "encoder": getattr(nn, kind)(3, 4, batch_first=True),
        "decoder": getattr(nn, kind)(3, 4, batch_first=True),
        "out": nn.Linear(8, 8),
        **layers,
    }


class Luong(Module):
    """Luong's attention by products of matrices."""

    def queries(self, x: Any) -> Any:
        return x

    def keys(self, x: Any) -> Any:
        return x

    def scores(self, scores: Any, source: Any) -> Any:
        del source
        return scores

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        scores = torch.bmm(self.queries(output), self.keys(memory).transpose(1, 2))
        weights = torch.softmax(self.scores(scores, source), dim=-1)
        context = torch.bmm(weights, memory)
        return self.out(torch.cat((output, context), dim=2))


class Scaled(Luong):
    def scores(self, scores: Any, source: Any) -> Any:
        del source
        return scores / math.sqrt(self.decoder.hidden_size)


class ScaledQueries(Luong):
    """Queries are divided before the products."""

    def queries(self, x: Any) -> Any:
        return x / 4**0.5


class General(Luong):
    def queries(self, x: Any) -> Any:
        return self.wa(x)


class GeneralKeys(Luong):
    """Luong's general score with the product at the steps of the encoder."""

    def keys(self, x: Any) -> Any:
        return self.wa(x)


class Sized(Module):
    """The products divided by a size of a tensor, as d2l does it."""

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        d = output.shape[-1]
        scores = torch.bmm(output, memory.transpose(1, 2)) / math.sqrt(d)
        return self.out(torch.cat((output, torch.bmm(scores.softmax(-1), memory)), dim=2))


class Turned(Module):
    """Scores with the steps of the encoder first, as some write them."""

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        weights = (memory @ output.permute(0, 2, 1)).softmax(1)
        context = torch.matmul(weights.transpose(1, 2), memory)
        return self.out(torch.tanh(self.both(torch.cat([context, output], -1))))


class Masked(Module):
    """An encoder of packed sequences, whose padding has no weight."""

    fill: float = -1e9

    def forward(self, source: Any, target: Any) -> Any:
        real = source != 0
        lengths = real.sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source_table(source), lengths, batch_first=True, enforce_sorted=False
        )
        steps, state = self.encoder(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(
            steps, batch_first=True, total_length=source.size(1)
        )
        output, _ = self.decoder(self.target_table(target), state)
        return self.out(torch.cat((output, self.attend(output, memory, real)), dim=-1))

    def attend(self, output: Any, memory: Any, real: Any) -> Any:
        scores = torch.bmm(output, memory.transpose(1, 2))
        scores = scores.masked_fill(~real.unsqueeze(1), self.fill)
        return torch.bmm(scores.softmax(-1), memory)


class Infinite(Masked):
    fill = float("-inf")


class Stock(Masked):
    """The attention of PyTorch's functions."""

    def attend(self, output: Any, memory: Any, real: Any) -> Any:
        return functional.scaled_dot_product_attention(
            output, memory, memory, attn_mask=real[:, None, :]
        )


class Additive(Module):
    """An additive score of all queries and steps, as in d2l."""

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        features = self.w_q(output).unsqueeze(2) + self.w_k(memory).unsqueeze(1)
        scores = self.w_v(torch.tanh(features)).squeeze(-1)
        weights = self.dropout(nn.functional.softmax(scores, dim=-1))
        return self.out(torch.cat((torch.bmm(weights, memory), output), dim=-1))


def additive(*, bias: bool) -> Any:
    return Additive(
        **sides("LSTM"),
        w_q=nn.Linear(4, 5, bias=bias),
        w_k=nn.Linear(4, 5, bias=bias),
        w_v=nn.Linear(5, 1, bias=bias),
        dropout=nn.Dropout(0.1),
    )


MODULES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "products": (
        lambda: Luong(**sides("LSTM")),
        (
            "  initial_state: {of: encoder}\n",
            "- {type: attention, over: encoder, score: dot}\n",
            "  of: [decoder, attention_1]\n",
        ),
    ),
    "products, divided": (lambda: Scaled(**sides()), ("score: scaled_dot}\n",)),
    "products, divided by a size": (lambda: Sized(**sides()), ("score: scaled_dot}\n",)),
    "queries, divided": (lambda: ScaledQueries(**sides()), ("score: scaled_dot}\n",)),
    "general": (
        lambda: General(**sides(), wa=nn.Linear(4, 4, bias=False)),
        ("score: general}\n",),
    ),
    "a dense layer with a bias before the products": (
        lambda: General(**sides(), wa=nn.Linear(4, 4)),
        ("- {type: dense, name: wa, units: 4}\n", "score: dot}\n"),
    ),
    "general, at the steps": (
        lambda: GeneralKeys(**sides(), wa=nn.Linear(4, 4)),
        ("score: general}\n",),
    ),
    "steps first": (
        lambda: Turned(**sides() | {"out": nn.Linear(6, 8)}, both=nn.Linear(8, 6)),
        ("score: dot}\n", "  of: [attention_1, decoder]\n"),
    ),
    "a mask": (lambda: Masked(**sides("LSTM")), ("mask_zero: true", "score: dot}\n")),
    "a mask of infinity": (lambda: Infinite(**sides()), ("mask_zero: true", "score: dot}\n")),
    "a function of PyTorch": (
        lambda: Stock(**sides()),
        ("mask_zero: true", "score: scaled_dot}\n"),
    ),
    "additive": (
        lambda: additive(bias=False),
        ("- {type: attention, over: encoder, score: additive, units: 5, bias: false}\n",),
    ),
    "additive with biases": (lambda: additive(bias=True), ("score: additive, units: 5}\n",)),
}


@cases("make, parts", MODULES)
def test_a_decoder_that_a_person_wrote(make: Callable[[], Any], parts: tuple[str, ...]) -> None:
    # Each is compared with its module, too.
    text = rnnspec.from_torch(make()).spec.document.text
    assert [part for part in parts if part not in text] == [], text


class Unpacked(Module):
    """An encoder that reads padding, which its attention leaves out, as in d2l."""

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        scores = torch.bmm(output, memory.transpose(1, 2))
        scores = scores.masked_fill((source == 0).unsqueeze(1), -1e6 if self.training else -1e9)
        return self.out(torch.cat((output, torch.bmm(scores.softmax(-1), memory)), dim=-1))


class Weighing(Masked):
    def attend(self, output: Any, memory: Any, real: Any) -> Any:
        del real
        return torch.bmm(torch.bmm(output, memory.transpose(1, 2)).softmax(-1), memory)


class TooHigh(Masked):
    fill = -1e4


class OverQueries(Module):
    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        weights = torch.bmm(output, memory.transpose(1, 2)).softmax(1)
        return self.out(torch.cat((torch.bmm(weights, memory), output), dim=-1))


class OtherKeys(Module):
    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        output, _ = self.decoder(self.target_table(target), state)
        keys, values = self.keys(memory), self.values(memory)
        context = functional.scaled_dot_product_attention(output, keys, values)
        return self.out(torch.cat((output, context), dim=-1))


class Causal(Module):
    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        return functional.scaled_dot_product_attention(y, y, y, is_causal=True)


class Sigmoid(Module):
    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        return torch.bmm(torch.sigmoid(torch.bmm(y, y.transpose(1, 2))), y)


class Bahdanau(Module):
    """A decoder that asks with its state before each step, as the tutorials of PyTorch do."""

    def forward(self, source: Any, target: Any) -> Any:
        memory, state = self.encoder(self.source_table(source))
        embedded, outputs = self.target_table(target), []
        for step in range(target.size(1)):
            query = state.transpose(0, 1)
            scores = self.va(torch.tanh(self.wa(query) + self.ua(memory)))
            context = torch.bmm(scores.softmax(1).transpose(1, 2), memory)
            x = torch.cat((embedded[:, step : step + 1], context), dim=2)
            output, state = self.decoder(x, state)
            outputs.append(output)
        return self.out(torch.cat(outputs, dim=1))


class Cells(Module):
    def forward(self, source: Any, target: Any) -> Any:
        _, state = self.encoder(self.source_table(source))
        state, outputs = state[0], []
        for x in self.target_table(target).unbind(1):
            state = self.cell(x, state)
            outputs.append(self.out(state))
        return torch.stack(outputs, dim=1)


class Numbered(Module):
    def forward(self, source: Any, target: Any) -> Any:
        _, state = self.encoder(self.source_table(source))
        embedded, outputs = self.target_table(target), []
        for step in range(5):
            output, state = self.decoder(embedded[:, step : step + 1], state)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


LOOP = (
    r"forward: cannot be traced: expected no condition or loop on tensors or their sizes, received "
    r"a loop; a decoder is one call of nn.GRU or nn.LSTM for all steps of its input, with the "
    r"attention behind it; one that attends before each step is a spec with the key 'attention' "
    r"\[E704\](.|\n)*"
)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "an encoder that reads padding": (
        lambda: Unpacked(**sides()),
        "takes what stands at padding, which masks leave out elsewhere; a spec has one mask",
    ),
    "no mask": (
        lambda: Weighing(**sides()),
        "weighs padding, too; rnnspec leaves it out, as masked_fill with -inf does",
    ),
    "a mask that leaves some weight": (
        lambda: TooHigh(**sides()),
        r"expected at most -1e\+09 at padding, received -10000",
    ),
    "a softmax over the queries": (
        lambda: OverQueries(**sides()),
        "expected a product over the steps, received the weights of the steps for each query",
    ),
    "other keys": (
        lambda: OtherKeys(**sides(), keys=nn.Linear(4, 4), values=nn.Linear(4, 4)),
        "expected keys that are the steps that are mixed, or a dense layer of these",
    ),
    "earlier steps only": (
        lambda: Causal(rnn=nn.GRU(3, 4, batch_first=True)),
        "is_causal: expected False, received True",
    ),
    "another function of scores": (
        lambda: Sigmoid(rnn=nn.GRU(3, 4, batch_first=True)),
        "does not support the operation 'sigmoid'.*: it takes the scores of the steps for each",
    ),
    "a loop over the steps": (
        lambda: Bahdanau(
            **sides(),
            wa=nn.Linear(4, 5),
            ua=nn.Linear(4, 5),
            va=nn.Linear(5, 1),
        ),
        f"{LOOP}$",
    ),
    "a cell in a loop": (
        lambda: Cells(**sides(), cell=nn.GRUCell(3, 4)),
        f"nn.GRU has the same arrays and runs all steps(.|\\n)*{LOOP}$",
    ),
    "a loop over some steps": (
        lambda: Numbered(**sides()),
        "decoder: called 5 times; a decoder is one call of nn.GRU or nn.LSTM for all steps of its",
    ),
}


@cases("make, message", REFUSED)
def test_what_is_no_attention_of_the_language(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        rnnspec.from_torch(make().eval())

"""What a module computes of the outputs of two layers comes in as a formula."""

from __future__ import annotations

from typing import Any

import pytest

import rnnspec

torch = pytest.importorskip("torch")
nn = torch.nn


class Pair(nn.Module):  # type: ignore[misc, name-defined]
    """Two sequences, each encoded by an LSTM, and a function of both vectors."""

    def __init__(self, combine: Any, units: int = 1, layers: int = 1) -> None:
        super().__init__()
        self.one = nn.LSTM(3, 4, batch_first=True)
        self.two = self.one if layers == 1 else nn.LSTM(3, 4, batch_first=True)
        self.out = nn.Linear(units, 1)
        self.combine = combine

    def forward(self, left: Any, right: Any) -> Any:
        _, (one, _) = self.one(left)
        _, (two, _) = self.two(right)
        return self.out(self.combine(one[-1], two[-1]))


COMBINED: dict[str, tuple[Any, int, str]] = {
    # Mueller and Thyagarajan, 2016: MaLSTM.
    "manhattan": (
        lambda a, b: torch.exp(-torch.sum(torch.abs(a - b), dim=1, keepdim=True)),
        1,
        "exp(-sum(abs(a - b)))",
    ),
    "cosine": (lambda a, b: torch.sum(a * b, 1, keepdim=True), 1, "sum(a * b)"),
    "difference": (lambda a, b: b - a, 4, "b - a"),
    "square": (lambda a, b: (a - b).pow(2), 4, "(a - b) * (a - b)"),
    "largest": (torch.maximum, 4, "maximum(a, b)"),
}


@pytest.mark.parametrize("name", COMBINED)
@pytest.mark.parametrize("layers", [1, 2])
def test_two_layers_are_combined_by_an_equation(name: str, layers: int) -> None:
    combine, units, text = COMBINED[name]
    torch.manual_seed(0)
    module = Pair(combine, units, layers).eval()
    found = rnnspec.from_torch(module, (torch.randn(2, 5, 3), torch.randn(2, 4, 3)))
    assert "equal on the example and random inputs" in found.compared
    assert text in found.spec.document.text


class Steps(nn.Module):  # type: ignore[misc, name-defined]
    """A sequence of tokens, whose padding is left out of the mean of a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 3)
        self.rnn = nn.GRU(3, 4, batch_first=True)
        self.gate = nn.Linear(3, 4)

    def forward(self, tokens: Any) -> Any:
        embedded, real = self.embed(tokens), (tokens != 0).unsqueeze(-1)
        difference = (self.rnn(embedded)[0] - self.gate(embedded)).abs()
        return (difference * real).sum(1) / real.sum(1).clamp(min=1)


def test_the_difference_of_two_sequences_keeps_their_padding() -> None:
    found = rnnspec.from_torch(Steps().eval())
    text = found.spec.document.text
    assert "abs(a - b)" in text
    assert "mask_zero: true" in text

"""Modules in the styles of public repositories come in, or are refused with what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

import rnnspec
from rnnspec.errors import ModelError, RnnspecError, UsageError
from rnnspec.importing.assemble import ImportedModel, write_spec
from rnnspec.importing.imported import Imported
from rnnspec.models import foreign

torch = pytest.importorskip("torch")
real_modules = pytest.importorskip("importing.real_modules")
# It has those of public_modules too, where its own are noted.
found_modules = pytest.importorskip("importing.found_modules")
MODULES = real_modules.MODULES | found_modules.MODULES
COMES_IN = sorted(name for name, entry in MODULES.items() if not entry.refused)
FOREIGN = re.compile(
    r"pydantic|validation error|symbolically|Proxy|torch\.fx|numpy|object at 0x|NoneType|<class|"
    r"(Key|Type|Attribute|Index)Error"
)
"""What is about our own code, or another library's, in place of the module."""


SECOND_BIAS = (torch.nn.LSTM, torch.nn.RNN, torch.nn.LSTMCell, torch.nn.RNNCell)


def numbers_of(module: Any) -> int:
    """Return how many parameters a spec of a module has: without the second biases of PyTorch."""
    second = [
        array.numel()
        for part in module.modules()
        if isinstance(part, SECOND_BIAS)
        for name, array in part.named_parameters()
        if name.startswith("bias_hh")
    ]
    return int(sum(array.numel() for array in module.parameters()) - sum(second))


def make(name: str) -> tuple[Any, Any]:
    """Return a module and its example."""
    torch.manual_seed(0)
    return MODULES[name].make(), MODULES[name].example()


@pytest.mark.parametrize("name", COMES_IN)
def test_a_module_comes_in_with_its_results_and_parameters(name: str) -> None:
    module, example = make(name)
    model = rnnspec.from_torch(module, example)
    assert re.search(r"equal on the example and random inputs \(float(64|32)\)", model.compared)
    # A bias before a softmax over the steps changes nothing.
    biases = [text for text in model.left_out if "a softmax is the same without it" in text]
    trainable = rnnspec.summary(model.spec).parameters.trainable
    assert trainable == numbers_of(module) - len(biases)


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(COMES_IN)))
def test_a_refusal_says_what_is_not_read(name: str) -> None:
    module, example = make(name)
    with pytest.raises(RnnspecError) as caught:
        rnnspec.from_torch(module, example)
    text = str(caught.value)
    assert MODULES[name].refused in text
    assert not FOREIGN.search(text)


@pytest.mark.parametrize("name", COMES_IN)
def test_a_changed_array_is_another_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tampered(source: str, imported: Imported) -> ImportedModel:
        taken = write_spec(source, imported)
        return replace(taken, arrays={key: 1.01 * array for key, array in taken.arrays.items()})

    module, example = make(name)
    monkeypatch.setattr(foreign, "write_spec", tampered)
    with pytest.raises(ModelError, match=r"received a difference of .* \[E709\]"):
        rnnspec.from_torch(module, example)


@pytest.mark.parametrize("name", ["CharGRU", "WordLanguageModel", "KeywordSpotter", "Drqn"])
def test_states_that_are_passed_on_are_given(name: str) -> None:
    text = rnnspec.from_torch(*make(name)).spec.document.text
    assert "initial_state: given" in text
    assert "heads:" not in text


def test_outputs_chooses_the_results() -> None:
    module, example = make("LanguageModelWithoutState")
    model = rnnspec.from_torch(module, example)
    assert model.left_out == (
        "the result output_1_0 (all final states; outputs= names the results to take)",
        "the result output_1_1 (all cell states; outputs= names the results to take)",
    )
    both = rnnspec.from_torch(module, example, outputs=[0, 1])
    assert not both.left_out
    heads = both.spec.document.text.partition("heads:")[2]
    assert [name for name, _ in re.findall(r"(output_\w+): \{of: (\w+\.\w+)", heads)] == [
        "output_1_0_0", "output_1_0_1", "output_1_1_0", "output_1_1_1",
    ]  # fmt: skip
    states = rnnspec.from_torch(module, example, outputs=[1])
    assert "output_0" not in states.spec.document.text
    with pytest.raises(ModelError, match=r"outputs: expected 0 and 1, received 7"):
        rnnspec.from_torch(module, example, outputs=[7])


def test_an_example_of_states_has_their_shape() -> None:
    module, (x, _) = make("CharGRU")
    with pytest.raises(UsageError, match=r"first states of shape \(1, batch, 5\), received"):
        rnnspec.from_torch(module, (x, torch.randn(1, 3, 4)))
    module, _ = make("KeywordSpotter")
    with pytest.raises(ModelError, match="states of several modules in the argument 'hidden'"):
        rnnspec.from_torch(module)


def test_token_0_of_an_example_with_lengths_is_none_of_padding() -> None:
    module, (tokens, lengths) = make("PackedTagger")
    tokens[:, 0] = 0
    model = rnnspec.from_torch(module, (tokens, lengths))
    assert "equal on the example, with token 1 in place of 0, which is padding," in model.compared

"""Encoders and decoders of PyTorch with attention, as tutorials write them."""

from __future__ import annotations

from typing import Any

import pytest
from cases import cases

import rnnspec
from rnnspec.errors import ModelError

pytest.importorskip("torch")
torch_modules = pytest.importorskip("importing.torch_modules")


@cases("module", torch_modules.read("attention.txt"))
def test_a_decoder_that_a_person_wrote(module: Any) -> None:
    # Each is compared with its module, too.
    text = rnnspec.from_torch(module.make()).spec.document.text
    assert [part for part in module.told if part not in text] == [], text


LOOP = (
    r"forward: cannot be traced: expected no condition or loop on tensors or their sizes, received "
    r"a loop; a decoder is one call of nn.GRU or nn.LSTM for all steps of its input, with the "
    r"attention behind it; one that attends before each step is a spec with the key 'attention' "
    r"\[E704\](.|\n)*"
)


@cases("module", torch_modules.read("no_attention.txt"))
def test_what_is_no_attention_of_the_language(module: Any) -> None:
    (message,) = module.told
    with pytest.raises(ModelError, match=message.replace("LOOP", LOOP)):
        rnnspec.from_torch(module.make().eval())

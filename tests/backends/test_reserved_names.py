from __future__ import annotations

import re

import pytest

from rnnspec.spec.names import TORCH_MODULE_ATTRIBUTES

torch = pytest.importorskip("torch")


def test_no_layer_can_hide_an_attribute_of_a_module() -> None:
    there = {name for name in dir(torch.nn.Module()) if re.fullmatch("[a-z][a-z0-9_]*", name)}
    assert there <= TORCH_MODULE_ATTRIBUTES

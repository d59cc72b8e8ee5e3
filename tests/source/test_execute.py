"""Executed source is an ordinary module, which tools can inspect."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import traceback

import pytest

import rnnspec
from rnnspec.source.execute import execute

SPEC = "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
TEXT = '"""Doc."""\n\n\ndef fail():\n    """Fail."""\n    raise ValueError("here")\n'


def test_a_module_is_made_once_a_text() -> None:
    module = execute(TEXT, "net")
    assert execute(TEXT, "net") is module
    assert execute(TEXT + "\n", "net") is not module
    assert sys.modules[module.__name__] is module
    assert (module.__name__.isidentifier(), module.__doc__) == (True, "Doc.")


def test_its_source_can_be_read() -> None:
    module = execute(TEXT, "net")
    assert inspect.getsource(module) == TEXT
    assert inspect.getsource(module.fail) == TEXT.split("\n\n\n")[1]
    with pytest.raises(ValueError, match="here") as caught:
        module.fail()
    assert 'raise ValueError("here")' in "".join(traceback.format_exception(caught.value))


def test_a_module_that_fails_is_not_kept() -> None:
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        execute("1 / 0", "net")
    assert set(sys.modules) == before


def test_a_torch_model_can_be_copied_and_pickled() -> None:
    torch = pytest.importorskip("torch")
    model = rnnspec.build(rnnspec.loads(SPEC), "torch").eval()
    batch = torch.ones(2, 3, 3)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(batch), model(batch), rtol=0, atol=0)
    assert "class Net(nn.Module)" in inspect.getsource(type(model))

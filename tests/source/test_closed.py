"""Source that uses what it neither defines nor imports is not printed."""

from __future__ import annotations

from typing import Any

import pytest
from cases import cases
from offered import shipped

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get, needs
from rnnspec.errors import GenerationError
from rnnspec.source.closed import undefined_names

SPEC = rnnspec.loads("""
version: 1
name: net
embedding: {vocabulary: 6, dim: 3, mask_zero: true}
rnn: [{type: conv, filters: 3, kernel_size: 2, padding: causal}, {type: gru, units: 3}]
head: {pooling: none, hidden: [{type: layer_norm}], units: 2, activation: softmax}
""")
MORE = {
    ".py": "\ndef more(x):\n    return pool_min(x, *[y for y in x], len=len(x))\n",
    ".h": "\nstatic float more(const float *x) {\n    return pool_min(x); /* gone(x) */\n}\n",
    ".onnx.txt": '\n  more = Add (dense_1, pool_min)  # Go (x)\n  "", y = RNN <\n  > (more)\n',
}


@cases(("name", "form"), [(each.name, form) for each in shipped() for form in each.forms])
def test_a_name_that_nothing_defines(name: str, form: Any) -> None:
    backend = get(name, needs.SOURCE)
    text = pipeline.generate(pipeline.program(SPEC), backend, form).text
    assert not undefined_names(text, backend.ending)
    assert undefined_names(text + MORE[backend.ending], backend.ending) == ["pool_min"]


def test_source_with_such_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    render = "rnnspec.source.render.render"
    monkeypatch.setattr(render, lambda *_: MORE[".py"])
    with pytest.raises(GenerationError, match=r"PyTorch uses what it does not define: pool_min"):
        rnnspec.codegen(SPEC, "torch")

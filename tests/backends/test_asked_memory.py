"""Cells that ask a memory: equal to loops that were written by hand, in PyTorch and in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import cases
from offered import import_later, require

from rnnspec import pipeline
from rnnspec.comparison import reference
from rnnspec.ir.nodes import Recurrent
from rnnspec.weights.initial import draw_scaled

torch = import_later("torch")

UNITS, WIDTH, FEATURES = 4, 3, 2
FED = """\
version: 1
name: fed
inputs:
  source: {features: 3, mask_value: 2.0}
  target: {features: 2}
cells: {fed: {from: luong_input_feeding}}
rnn: {type: fed, units: 4, of: target, over: {m: source}, SCORE}
head: {pooling: none}
"""
SCORES = {
    "dot": "score: dot",
    "scaled_dot": "score: scaled_dot",
    "general": "score: general",
    "additive": "score: additive, score_units: 5",
}


MODULES = {
    "attention.kernel": "fed_1.query.weight",
    "attention.score": "fed_1.attention.score.weight",
    "keys.kernel": "fed_1_keys.weight",
    "keys.bias": "fed_1_keys.bias",
}
"""The modules that have arrays of the attention, transposed."""


def batch() -> dict[str, Any]:
    """Return sequences, one of whose memories has padding inside, and one nothing else."""
    generator = np.random.default_rng(3)
    source = generator.normal(size=(3, 6, WIDTH))
    source[1, 2:4] = source[2] = 2.0
    return {"source": source, "target": generator.normal(size=(3, 5, FEATURES))}


def by_hand(arrays: dict[str, Any], score: str, source: Any, target: Any) -> Any:
    """Return the outputs of the decoder, of a loop in which ``nn.LSTMCell`` has the states."""
    own = {name.removeprefix("fed_1."): array for name, array in arrays.items()}
    gates = [torch.cat([own[f"{letter}_{gate}"] for gate in "ifgo"]) for letter in "WUb"]
    cell = torch.nn.LSTMCell(FEATURES + UNITS, UNITS).double()
    parameters = dict(zip(("weight_ih", "weight_hh", "bias_ih"), gates, strict=True))
    parameters["bias_hh"] = torch.zeros_like(gates[2])
    keys, real = source, (source != 2.0).any(dim=2)
    if score == "additive":
        keys = source @ own["keys.kernel"] + own["keys.bias"]
    fed = h = c = source.new_zeros(len(source), UNITS)
    outputs = []
    for x in target.unbind(1):
        h, c = torch.func.functional_call(cell, parameters, (torch.cat([x, fed], 1), (h, c)))
        query = h @ own["A"].T
        if "attention.kernel" in own:
            query = query @ own["attention.kernel"]
        if score == "additive":
            scores = (torch.tanh(query[:, None] + keys) @ own["attention.score"])[..., 0]
        else:
            scores = torch.einsum("bk,bsk->bs", query, keys)
            scores = scores / WIDTH**0.5 if score == "scaled_dot" else scores
        weights = torch.softmax(scores.masked_fill(~real, -1e30), 1).masked_fill(~real, 0.0)
        context = torch.einsum("bs,bsf->bf", weights, source)
        fed = torch.tanh(torch.cat([context, h], 1) @ own["W_a"].T)
        outputs.append(fed)
    return torch.stack(outputs, 1)


@cases("score", list(SCORES))
def test_is_a_loop_that_was_written_by_hand(score: str) -> None:
    program = pipeline.reads(FED.replace("SCORE", SCORES[score]))
    arrays, given = draw_scaled(program.network, 0), batch()
    tensors = {
        name.replace("fed_1_keys", "fed_1.keys"): torch.tensor(array, requires_grad=True)
        for name, array in arrays.items()
    }
    values = {name: torch.tensor(array) for name, array in given.items()}
    expected = by_hand(tensors, score, **values)
    output = reference.run(program.network, arrays, given).output
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=0, atol=1e-14)
    (expected * expected).sum().backward()
    generated = pipeline.generate(program, require("torch"))
    model = pipeline.instantiate(generated, "float64")
    generated.store.write(model, arrays)
    result = model(**values)
    np.testing.assert_allclose(result.detach().numpy(), output, rtol=0, atol=1e-14)
    (result * result).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, tensor in tensors.items():
        path = MODULES.get(name.removeprefix("fed_1."), name)
        own = gradients[path] if path == name else gradients[path].t()
        torch.testing.assert_close(own, tensor.grad.reshape(own.shape), rtol=0, atol=1e-13)


def test_each_layer_of_a_stack_asks_the_memory_by_itself() -> None:
    text = FED.replace("SCORE", f"{SCORES['additive']}, layers: 2")
    one = "{type: fed, units: 4, OFover: {m: source}, score: additive, score_units: 5}"
    apart = "".join(f"  - {one.replace('OF', of)}\n" for of in ("of: target, ", ""))
    head, _, rest = text.partition("rnn: ")
    items = f"{head}rnn:\n{apart}{rest.partition(chr(10))[2]}"
    stack = pipeline.reads(text).network
    assert stack == pipeline.reads(items).network
    asked = [layer.attention for layer in stack.layers if isinstance(layer, Recurrent)]
    assert [attention.keys for attention in asked if attention] == ["fed_1_keys", "fed_2_keys"]

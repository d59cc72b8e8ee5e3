"""A spec whose layers, inputs, states and arrays have the names that generated source uses."""

from __future__ import annotations

from rnnspec.spec.names import BUILTINS, INPUT, KEYWORDS
from rnnspec.spec.write import dump

OF_LAYERS = """
add_module begin bool call cast dtype embedding eval first float forward functional gamma half
heads hidden_ initial_states jax jnp keras kwargs last layers lengths list load_state_dict logits
masked_mean masking max max_ max_1 mean memory model name nn nnx np numpy ops outputs parameters
params perturb query real requires_grad requires_grad_ reset_parameters rngs scores self
sequences skip softmax sow state state_dict static step steps super tf to to_ total train training
tuple type variance weights where zero zeros
"""
"""Names of modules, functions, attributes and variables, and of operations of Keras."""
OF_INPUTS = "x self torch states keys"


def graph(form: str) -> str:
    """Return the text of a spec with all of these names, for sequences or for steps."""
    whole = form != "step"
    taken = {*KEYWORDS, INPUT, *OF_INPUTS.split()}
    names = [name for name in OF_LAYERS.split() if name not in taken]
    assert BUILTINS.intersection(names), "some are functions of Python"
    mine = {
        "states": ["self", "jnp"],
        "equations": {
            "x_1": "tanh(nn @ x + torch @ self + mask)",
            "jnp": "jnp * keras + x_1",
            "self": "sigmoid(super * jnp + inputs)",
        },
    }
    dense = {"type": "dense", "units": 2, "of": "inputs"}
    memory = {"over": "keys"} if form == "step" else {"over": "torch", "causal": True}
    layers = [
        {"type": "mine", "units": 3, "of": "torch", "name": "mask"},
        {"type": "lstm", "units": 3, "name": "values", "bidirectional": whole},
        {"type": "dense", "units": 4, "of": "keys", "name": "seen"},
        {"type": "attention", "of": "torch", **memory, "heads": 2, "units": 4, "name": "queries"},
        {
            "type": "formula",
            "of": {"mask": "queries", "x": "x"},
            "equations": {"self": "mask * sum(x)", "torch": "self + mask"},
            "name": "context",
        },
        {
            "type": "formula",
            "of": {"x": "values"},
            "equations": {"y": "x * x"},
            "name": "product",
        },
        {"type": "concat", "of": ["values", "context", "self", "product"], "name": "inputs"},
        *({**dense, "name": name} for name in names),
        # All of them are variables at once.
        {"type": "concat", "of": names, "name": "found"},
        {"type": "gru", "units": 3, "name": "variable", "initial_state": {"h": "states"}},
        {"type": "pool", "pooling": "mean", "of": "seen", "name": "latest"},
    ]
    heads = {
        "batch": {"units": 1, "pooling": "mean", "of": "variable"},
        "hidden": {"units": 2, "pooling": "none", "of": "where"},
        "rows": {"units": 1, "of": "latest"},
    }
    padded = {"features": 3, "mask_value": 0.0}
    inputs = {
        "torch": padded,
        "self": {"features": 3, "per": "sequence"},
        "x": {"features": 2, "per": "sequence"},
        "states": {"features": 3, "per": "sequence"},
        "keys": {"features": 3},
    }
    return dump(
        {
            "version": 1,
            "name": "net",
            "inputs": inputs,
            "stream": "torch",
            "cells": {"mine": mine},
            "rnn": layers,
            "heads": heads,
        }
    )

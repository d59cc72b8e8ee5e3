"""Each graph of layers in one form of each backend, and in each form of some backend."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from graphs import ALL
from offered import require, shipped

from rnnspec import pipeline
from rnnspec.backends import Backend, refusals
from rnnspec.comparison.case import Case
from rnnspec.comparison.compare import Comparison
from rnnspec.ir.forms import Form


def name_of(text: str) -> str:
    return text.split()[3]


@cache
def program(text: str) -> pipeline.Program:
    return pipeline.reads(text)


@cache
def case_of(number: int, dtype: str) -> Case:
    """Return the arrays and the batch of a graph, for all backends of a dtype."""
    return Case.of(program(ALL[number]), 0, dtype)


def forms_of(backend: Backend, number: int) -> list[Form]:
    """Return the forms in which a backend has a graph."""
    network = program(ALL[number]).network
    return [form for form in backend.forms if not refusals(backend, network, form)]


def form_of(backend: Backend, number: int) -> Form:
    """Return the form in which a graph is compared on a backend: each has its turn."""
    forms = forms_of(backend, number)
    return forms[(number + [each.name for each in shipped()].index(backend.name)) % len(forms)]


@pytest.mark.parametrize("number", range(len(ALL)), ids=map(name_of, ALL))
@pytest.mark.parametrize("name", [each.name for each in shipped()])
def test_equal_to_the_reference(name: str, number: int) -> None:
    backend = require(name)
    form = form_of(backend, number)
    case = replace(case_of(number, backend.dtypes[0]), form=form)
    comparison = Comparison(case, "gradients" if form == "training" else "forward")
    comparison.add(backend)
    assert comparison.report().differences == ()


def test_each_graph_is_compared_in_each_form_that_some_backend_has() -> None:
    for number, text in enumerate(ALL):
        compared = {form_of(each, number) for each in shipped()}
        assert compared == {form for each in shipped() for form in forms_of(each, number)}, text

"""Features that a backend lacks: one message, which names the backends that have them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
import yaml
from hypothesis import strategies as st
from offered import able, registered, require, require_all, shipped
from toy import emit as toy_emit
from toy.backend import TOY

import rnnspec
import rnnspec_conformance
from rnnspec import backends, pipeline
from rnnspec.backends import (
    BACKENDS,
    choose,
    declared_options,
    describe_option,
    get,
    honouring,
    lack,
    needs,
    refusals,
)
from rnnspec.backends.contract import Option, Runtime, SourceOptions
from rnnspec.cli.commands.codegen import codegen
from rnnspec.cli.options import takes_source_options
from rnnspec.comparison.random import compare_random
from rnnspec.errors import BackendError, UnsupportedError, UsageError, listed
from rnnspec.models.foreign import Model
from rnnspec_random import draw

if TYPE_CHECKING:
    from rnnspec.backends import Backend, Need
    from rnnspec.ir.forms import Form
    from rnnspec.ir.nodes import Network
    from rnnspec.source.code import Source

PACKAGE = Path(rnnspec.__file__).parent
CONFORMANCE = Path(rnnspec_conformance.__file__).parent
TAKEN = """\
version: 1
name: taken
input: {length: 4, features: 3}
rnn: {type: simple, units: 4}
head: {units: 2}
initializers: {bias: ones}
"""
REFUSED = TAKEN.replace("type: simple, units: 4", "type: gru, units: 4, dropout: 0.5")
WITHOUT_RUNTIME = replace(TOY, name="writer", level=None)
TRAINED, DRAWING, STEPPING = (
    listed(able(need))
    for need in (needs.level("training"), needs.form("training"), needs.form("step"))
)
DOUBLE, BUILT, WRITING = (
    listed([*able(need), "toy"]) for need in (needs.dtype("float64"), needs.MODEL, needs.SOURCE)
)
WITHOUT_SOURCE = replace(TOY, name="reader", package="no_emitter", forms=(), level=None)


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    """Register the toy beside the backends of rnnspec."""
    with registered(*shipped(), TOY):
        yield


@pytest.mark.parametrize(
    ("lacking", "need", "sentence"),
    [
        (TOY, needs.FILES, f"toy cannot save a model; {listed(able(needs.FILES))} can"),
        (
            *(TOY, needs.level("training")),
            f"toy cannot be compared up to training, only up to forward; {TRAINED} can",
        ),
        (
            *(replace(TOY, dtypes=("float32",)), needs.dtype("float64")),
            f"toy cannot be compared in float64, only in float32; {DOUBLE} can",
        ),
        (
            *(TOY, needs.form("training")),
            f"toy cannot write source for training, only for inference; {DRAWING} can",
        ),
        (
            *(TOY, needs.form("step")),
            f"toy cannot write source in step form, only for inference; {STEPPING} can",
        ),
        (WITHOUT_RUNTIME, needs.MODEL, f"writer cannot build a model; {BUILT} can"),
        (
            *(WITHOUT_RUNTIME, needs.level("forward")),
            f"writer cannot be compared up to forward; {BUILT} can",
        ),
        (WITHOUT_SOURCE, needs.SOURCE, f"reader cannot write source; {WRITING} can"),
    ],
)
def test_a_lack_is_one_sentence(lacking: Backend, need: Need, sentence: str) -> None:
    assert lack(lacking, need) == sentence


@pytest.mark.parametrize("need", [needs.FILES, needs.level("training"), needs.form("training")])
def test_what_is_there_is_no_lack(need: Need) -> None:
    assert lack(get("torch"), need) == ""


def test_functions_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (WITHOUT_RUNTIME, WITHOUT_SOURCE):
        monkeypatch.setitem(BACKENDS, each.name, each)
    spec = rnnspec.loads(TAKEN)
    with pytest.raises(UsageError, match=f"writer cannot build a model; {BUILT} can"):
        rnnspec.build(spec, "writer")
    assert "np.zeros" in rnnspec.codegen(spec, "writer")
    for function in (rnnspec.build, rnnspec.codegen):
        with pytest.raises(UsageError, match="reader cannot write source; keras, torch"):
            function(spec, "reader")


def test_a_backend_without_source_is_not_asked_how_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, WITHOUT_SOURCE.name, WITHOUT_SOURCE)
    spec = rnnspec.loads(TAKEN.replace("units: 4", "units: 4, activation: softsign"))
    assert list(rnnspec.summary(spec).stepwise) == ["torch"]


def test_parity_says_what_a_named_backend_lacks() -> None:
    with pytest.raises(UsageError, match=r"toy cannot be compared up to gradients, only up to for"):
        rnnspec.parity(rnnspec.loads(TAKEN), ["toy"])
    with pytest.raises(UsageError, match=r"toy cannot be compared up to gradients, only up to for"):
        compare_random(1, 0, ["toy"])


def test_a_refusal_names_the_others_that_take_the_layer() -> None:
    network = pipeline.reads(REFUSED).network
    (found,) = refusals(TOY, network)
    assert (found.layer, found.key) == ("gru_1", "type")
    others = [backend.name for backend in honouring(network)]
    assert found.alternatives == tuple(others)
    assert {"keras", "torch"} <= {*others} <= {*able(needs.SOURCE)}
    with pytest.raises(UnsupportedError) as caught:
        rnnspec.codegen(rnnspec.loads(REFUSED), "toy")
    sentence = f"gru_1.type: not supported by toy: it has no GRU; supported by {listed(others)}"
    assert str(caught.value) == f"<string>: error: {sentence}"


def test_one_that_refuses_another_layer_is_no_alternative() -> None:
    head = "head: {units: 2, activation: {leaky_relu: -0.5}}"
    network = pipeline.reads(REFUSED.replace("head: {units: 2}", head)).network
    assert [refusal.layer for refusal in refusals(get("keras"), network)] == ["dense_1"]
    for refusal in refusals(TOY, network):
        assert "torch" in refusal.alternatives
        assert "keras" not in refusal.alternatives


def test_parity_takes_the_backends_that_reach_the_level_and_take_the_spec() -> None:
    require_all()
    specs = [rnnspec.loads(text) for text in (TAKEN, REFUSED)]
    report = rnnspec.parity(specs, level="forward")
    assert report.equal
    names = [*able(needs.level("forward"), needs.dtype("float64")), "toy"]
    assert [list(spec.backends) for spec in report.specs] == [
        [name for name in names if not refusals(get(name), pipeline.reads(text).network)]
        for text in (TAKEN, REFUSED)
    ]
    assert "toy" in report.specs[0].backends
    assert "toy" not in report.specs[1].backends
    taken, refused = report.as_dict()["specs"]
    assert "refused" not in taken
    assert [each["key"] for each in refused["refused"]["toy"]] == ["type"]
    (spec,) = rnnspec.parity(specs[0], level="gradients").specs
    assert list(spec.backends) == able(needs.level("gradients"), needs.dtype("float64"))
    assert spec.refused == {}


def test_a_named_backend_that_refuses_is_not_left_out() -> None:
    spec = rnnspec.loads(REFUSED)
    with pytest.raises(UnsupportedError, match=r"gru_1\.type: not supported by toy"):
        rnnspec.parity(spec, ["keras", "toy"], level="forward")


def test_a_backend_alone_that_refuses_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "BACKENDS", {TOY.name: TOY})
    with pytest.raises(UnsupportedError, match=r"it has no GRU$"):
        rnnspec.parity(rnnspec.loads(REFUSED), level="forward")


def test_random_specs_that_are_refused_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the whole language, the toy takes one spec in hundreds.
    both = st.sampled_from([yaml.safe_load(text) for text in (TAKEN, REFUSED)])
    with monkeypatch.context() as patched:
        patched.setattr(draw, "specs", lambda **_: both)
        found = compare_random(9, 6, ["toy"], level="counts")
    assert found.equal
    assert found.compared > 0
    assert found.refused > 0
    assert found.refused + found.compared == 9
    assert found.as_dict()["refused"] == found.refused
    with pytest.raises(UnsupportedError, match="not supported by toy"):
        compare_random(1, 0, ["toy"], level="counts")


def test_without_a_name_only_those_that_can_are_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in able(needs.MODEL):
        absent = replace(BACKENDS[name], distribution=f"no_{name}")
        monkeypatch.setitem(BACKENDS, name, absent)
    assert choose(None, needs.MODEL) is TOY
    with pytest.raises(BackendError, match=r"pip install '.*\[keras\]'.*pip install '.*\[torch\]'"):
        choose(None, needs.FILES)


def test_a_framework_without_an_extra_is_installed_by_its_own_name() -> None:
    other = replace(TOY, distribution="nosuch")
    with pytest.raises(BackendError, match=r"Toy is not installed: pip install nosuch$"):
        other.require()


def test_source_that_draws_nothing_gets_weights_from_numpy() -> None:
    spec = rnnspec.loads(TAKEN)
    one, other = (rnnspec.read_weights(rnnspec.build(spec, "toy")) for _ in range(2))
    for name in ("simple_rnn_1.kernel", "simple_rnn_1.recurrent_kernel", "dense_1.kernel"):
        assert np.count_nonzero(one[name]) == one[name].size
        assert not np.array_equal(one[name], other[name])
    assert (one["dense_1.bias"] == 1.0).all()


@pytest.mark.parametrize("name", [each.name for each in (*shipped(), TOY)])
def test_a_runtime_has_the_methods_that_its_record_offers(name: str) -> None:
    backend = require(name)
    offers = {
        "learner": backend.reaches("gradients"),
        "own_steps": bool(backend.optimizers),
        "step": "step" in backend.forms,
        **dict.fromkeys(("save", "reload"), bool(backend.files)),
        **dict.fromkeys(("open_original", "output", "scale"), bool(backend.suffix)),
        "quantizes": backend.option("quantize") is not None,
        "quantize": backend.option("quantize") is not None and not backend.quantizes_source,
        "unite": any(option.suffix for option in backend.options),
    }
    own = type(backend.runtime)
    has = {method: getattr(own, method) is not getattr(Runtime, method) for method in offers}
    assert has == offers


TINT = Option(
    name="tint_shade",
    words="write source in a shade",
    help="the shade",
    kind=str,
    values=("light", "dark"),
    metavar="SHADE",
    refusal=lambda network, form, shade: f"{network.name} is {form}" if shade == "dark" else "",
)


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[SourceOptions]:
    """Give the toy an option, and return the options with which its emitter was called."""
    calls = list[SourceOptions]()

    def emit(network: Network, form: Form, options: SourceOptions) -> Source:
        calls.append(options)
        return toy_emit.emit(network, form, options)

    monkeypatch.setattr(toy_emit, "EMITTER", replace(toy_emit.EMITTER, emit=emit))
    monkeypatch.setitem(BACKENDS, "toy", replace(TOY, options=(TINT,)))
    return calls


def test_an_option_needs_only_the_record_that_declares_it(
    emitted: list[SourceOptions], tmp_path: Path
) -> None:
    spec, path = rnnspec.loads(TAKEN), tmp_path / "taken.yaml"
    path.write_text(TAKEN)
    rnnspec.codegen(spec, "toy", tint_shade="light")
    rnnspec.codegen(spec, "toy", tint_shade=None)
    rnnspec.build(spec, "toy", tint_shade="light")
    app = typer.Typer()
    app.command()(takes_source_options(codegen.__wrapped__))  # type: ignore[attr-defined]
    call = typer.main.get_command(app)
    # It chooses the backend, too.
    call([str(path), "--tint-shade", "light"], standalone_mode=False)
    light = {"tint_shade": "light"}
    assert emitted == [light, {}, light, light]
    with pytest.raises(UsageError, match=r"keras cannot write source in a shade; toy can$"):
        call([str(path), "-b", "keras", "--tint-shade", "light"], standalone_mode=False)
    with pytest.raises(UsageError, match=r"tint_shade: keras cannot write .* shade; toy can$"):
        rnnspec.codegen(spec, "keras", tint_shade="light")
    with pytest.raises(UsageError, match=r"tint_shade: taken is inference$"):
        rnnspec.codegen(spec, "toy", tint_shade="dark")
    with pytest.raises(UsageError, match=r"unknown tint_shade 'red'; expected light or dark$"):
        rnnspec.codegen(spec, "toy", tint_shade="red")
    with pytest.raises(TypeError, match=r"^codegen\(\) got an unexpected keyword .* 'shade'$"):
        rnnspec.codegen(spec, "toy", shade="light")


def test_help_of_the_library_has_each_option_of_source() -> None:
    options = declared_options("codegen")
    assert {"target", "max_steps"} <= options.keys()
    for function in (rnnspec.codegen, rnnspec.build, Model.save):
        parameters = signature(function).parameters
        assert "options" not in parameters
        for name, option in options.items():
            assert parameters[name].default is None
            assert f"\n    {name}: {describe_option(option)}\n" in (function.__doc__ or "")


NAMES = {each.name for each in shipped()}


def compared(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where a backend's name is compared with something, or is a pattern."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.MatchValue):
            words = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            if words & NAMES:
                yield node.lineno


def test_no_name_of_a_backend_is_compared_outside_its_folder() -> None:
    own = [PACKAGE / part / name for name in NAMES for part in ("backends", "importing")]
    own.append(CONFORMANCE / "adapters")  # which know names of tools
    found = [
        f"{path.relative_to(package.parent)}:{line}"
        for package in (PACKAGE, CONFORMANCE)
        for path in package.rglob("*.py")
        if not any(path.is_relative_to(folder) for folder in own)
        for line in compared(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def foreign(name: str, modules: Iterable[str]) -> list[str]:
    """Return the modules that a backend must not import: the registry, and other backends."""
    folder = PACKAGE / "backends"
    shared = {f"rnnspec.backends.{path.stem}" for path in folder.glob("[a-z]*.py")}
    own = (f"rnnspec.backends.{name}", *shared)
    return [
        each
        for each in modules
        if each.startswith("rnnspec.backends.")
        and not any(f"{each}.".startswith(f"{module}.") for module in own)
    ]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_backends_do_not_know_each_other(name: str) -> None:
    paths = list((PACKAGE / "backends" / name).rglob("*.py"))
    assert paths
    assert [(path, found) for path in paths if (found := foreign(name, imports(path)))] == []


def test_an_import_of_another_backend_is_found() -> None:
    modules = (
        "contract.Slots",
        "keras",
        "keras.slots",
        "model_files.FrameworkArrays",
        "model_files",
        "get",
        "torch.slots",
    )
    found = foreign("torch", [f"rnnspec.backends.{module}" for module in modules])
    assert [each.removeprefix("rnnspec.backends.") for each in found] == [
        *("keras", "keras.slots", "get")
    ]


@pytest.mark.parametrize(
    "code",
    ['x == "keras"', '"torch" != x', 'x in ("keras", "torch")', 'match x:\n case "keras": 1'],
)
def test_a_comparison_with_a_name_is_found(code: str) -> None:
    assert list(compared(ast.parse(code)))

"""Steps of cells in C, which are made from equations."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from offered import require

import rnnspec
from rnnspec import pipeline
from rnnspec.backends import get
from rnnspec.backends.c import equations
from rnnspec.backends.c.compiler import command
from rnnspec.backends.needs import MODEL
from rnnspec.ir.equations import Line, Name
from rnnspec.ir.schedule import schedule

if TYPE_CHECKING:
    from pathlib import Path

    from rnnspec.ir.forms import Form
    from rnnspec.ir.schedule import Schedule

CELLS = """\
version: 1
name: net
input: {features: 3, mask_value: 0}
cells:
  peephole:
    states: [h, c]
    equations:
      i: sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)
      f: sigmoid(W_f @ x + U_f @ h + p_f * i)  # not in one loop with i
      g: tanh(W_g @ x + U_g @ h + b_g)
      c: f * c + i * g
      o: sigmoid(W_o @ x + U_o @ h + p_o * c + b_o)
      h: o * tanh(c)
  shared:  # a matrix in two products, which cannot be stored as gates of either
    states: [h]
    equations:
      f: sigmoid(W @ x + U @ h + b)
      h: (1 - f) * h + f * softsign(W @ x) - 0.25 * h
  matrices:  # and one that a constant needs
    states: [h]
    equations:
      k: exp((A + B.T) @ b)
      h: tanh((A - A.T) @ h - alpha * h + W @ x) + 0.1 * k / (1 + abs(k))
    sizes: {k: units}
    parameters: {alpha: scalar, A: [units, units], B: [units, units], b: [units]}
  late:  # each state needs another before it is assigned
    states: [h, c, m]
    equations:
      n: tanh(U_h @ c + W_h @ x)
      c: 0.5 * c + U_c @ h
      h: where(n > h, minimum(n, m), maximum(h, --m))
      m: elu(m - sqrt(abs(h - m))) + tanh(0.5 * --m)
  vectors:
    states: [h, s]
    equations:
      v: layer_norm(M @ concat(x, h, s))
      s: softmax(split(v, 1, 2)) * split(v, 2, 2)
      h: P @ tanh(s)
    sizes: {h: projection, v: 2 * units}
    settings: {projection: 3}
    output: h - log(1 + h * h)
  int:  # names that C and its functions have
    states: [y, double]
    equations:
      work: sigmoid(NAN @ x + kernel @ y + sign * double + steps)
      padded: tanh(register @ x + t @ y)
      double: work * double + (1 - work) * padded
      y: tanh(W @ double + W_scale * norm)
rnn:
  - {type: peephole, units: 5, layer_norm: true%(ways)s}
  - {type: shared, units: 9}
  - {type: matrices, units: 9, residual: true}
  - {type: late, units: 5%(both)s}
  - {type: vectors, units: 4%(ways)s}
  - {type: vectors, units: 3, projection: 5}
  - {type: int, units: 4, name: by}
  - {type: batch_norm}
  - {type: int, units: 4, name: batch}
head: {pooling: mean, units: 2}
"""


def spec_of(form: Form) -> rnnspec.Spec:
    both = "" if form == "step" else ", bidirectional: true"
    ways = both and f"{both}, merge: sum"
    return rnnspec.loads(CELLS % {"ways": ways, "both": both})


@pytest.mark.parametrize("form", ["inference", "step"])
def test_cells_by_equations_are_those_of_the_reference(form: Form) -> None:
    require("c", MODEL)
    report = rnnspec.parity(spec_of(form), ["c"], level="forward", dtype="float32", form=form)
    assert report.equal, report.differences


@pytest.mark.parametrize("steps", [16, 37])
@pytest.mark.parametrize("bias", ["true", "false"])
def test_blocks_of_steps_are_those_of_the_reference(steps: int, bias: str) -> None:
    require("c", MODEL)
    standard = "\n".join(
        f"  - {{type: {cell}, units: 3, bias: {bias}, bidirectional: true, merge: {merge}}}"
        for cell, merge in (("lstm", "sum"), ("gru", "concat"), ("simple", "ave"))
    )
    text = (CELLS % {"ways": ", direction: backward", "both": ""}).replace(
        "rnn:\n", f"rnn:\n{standard}\n"
    )
    spec = rnnspec.loads(text.replace("{features: 3,", f"{{length: {steps}, features: 3,"))
    report = rnnspec.parity(spec, ["c"], level="forward", dtype="float32")
    assert report.equal, report.differences


def test_products_of_the_input_are_of_several_steps() -> None:
    text = rnnspec.codegen(spec_of("inference"), "c")
    for cell, arrays in {"peephole": 1, "shared": 0, "late": 1, "vectors": 0}.items():
        function = text[text.index(f" net_{cell}_layer(") :].partition("\n}\n")[0]
        assert function.count("net_product_rows(") == arrays
        assert ("x_t" in function) == (arrays == 0)


@pytest.mark.parametrize("standard", ["-std=c99", "-std=c++11 -x c++"])
@pytest.mark.parametrize("form", ["inference", "step"])
def test_no_compiler_warns_of_them(form: Form, standard: str, tmp_path: Path) -> None:
    require("c", MODEL)
    options = {"quantize": "int8"}
    generated = pipeline.generate(pipeline.program(spec_of(form)), get("c"), form, options)
    (tmp_path / "net.h").write_text(generated.text)
    (tmp_path / "net.c").write_text('#define NET_IMPLEMENTATION\n#include "net.h"\n')
    flags = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([command(), *standard.split(), *flags, str(tmp_path / "net.c")], check=True)


def test_matrices_that_only_products_read_are_quantized() -> None:
    network = pipeline.program(spec_of("step")).network
    layers = {layer.name: layer for layer in network.layers}
    assert get("c").runtime.quantizes(layers["peephole_1"])


def test_products_of_one_vector_are_one() -> None:
    text = rnnspec.codegen(spec_of("step"), "c", form="step")
    step = text[text.index("One step of the cell peephole") :].partition("\n}\n")[0]
    assert step.count("4 * units, ") == step.count("_product(") == 2


def test_standard_cells_are_made_from_their_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(*args: Any, **options: Any) -> Schedule:
        plan = schedule(*args, **options)
        *others, _ = plan.step
        return replace(plan, step=(*others, Line("h", Name("c", "line"))))

    spec = rnnspec.loads(
        "version: 1\nname: net\ninput: {features: 3}\nrnn: {type: lstm, units: 4}\n"
    )
    assert "h[u] = c[u];" not in rnnspec.codegen(spec, "c")
    monkeypatch.setattr(equations, "schedule", change)
    assert "h[u] = c[u];" in rnnspec.codegen(spec, "c")


ATTENDING = """\
version: 1
name: net
inputs: {source: {features: 3}, target: {features: 2}}
cells:
  scaled: {states: [h], equations: {h: "0.5 * h + tanh(W_scale @ x)"}}
rnn:
  - {type: scaled, units: 3, of: target, attention: {over: source, score: general}}
head: {units: 2}
"""


def test_a_parameter_that_ends_like_scales_does_not_round_weights() -> None:
    source = rnnspec.codegen(rnnspec.loads(ATTENDING), "c")
    assert "const float *attention_kernel," in source
    assert "attention_kernel_scale" not in source

"""Cells by equation: loops of operators that no recurrent operator of the format stands for."""

from __future__ import annotations

from rnnspec_conformance.scenario import Batch, Mistake, Scenario, scaled

CASES = (
    Scenario(
        name="cell-peepholes",
        fact="In an LSTM with peepholes, the input and forget gates see the cell state before the step, and the output gate the one after it.",
        consequence="Speech and handwriting models of the years before 2016 are a little wrong everywhere.",
        spec="""
input: {features: 3}
cells:
  peephole_lstm:
    states: [h, c]
    equations:
      i: sigmoid(W_i @ x + U_i @ h + p_i * c + b_i)
      f: sigmoid(W_f @ x + U_f @ h + p_f * c + b_f)
      g: tanh(W_g @ x + U_g @ h + b_g)
      c: f * c + i * g
      o: sigmoid(W_o @ x + U_o @ h + p_o * c + b_o)
      h: o * tanh(c)
rnn: {type: peephole_lstm, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="the output gate sees the cell state before the step",
                instead={
                    "      c: f * c + i * g\n": "",
                    "      h: o": "      c: f * c + i * g\n      h: o",
                },
            ),
            Mistake(
                name="peepholes ignored",
                arrays=(
                    scaled(
                        0.0, "peephole_lstm_1.p_i", "peephole_lstm_1.p_f", "peephole_lstm_1.p_o"
                    ),
                ),
            ),
        ),
    ),
    Scenario(
        name="cell-gate-inside-product",
        fact="In a minimal gated unit, the gate multiplies the state before the product with the candidate's kernel, so a step has two products one after the other.",
        consequence="A loop that joins all products with the state in one gives other numbers.",
        spec="""
input: {features: 3}
cells:
  mgu:
    states: [h]
    equations:
      f: sigmoid(W_f @ x + U_f @ h + b_f)
      n: tanh(W_n @ x + U_n @ (f * h) + b_n)
      h: (1 - f) * h + f * n
rnn: {type: mgu, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="gate behind the product with the state",
                instead={"U_n @ (f * h)": "f * (U_n @ h)"},
            ),
            Mistake(
                name="shares of the old state and the candidate exchanged",
                instead={"(1 - f) * h + f * n": "f * h + (1 - f) * n"},
            ),
        ),
    ),
    Scenario(
        name="cell-order-of-states",
        fact="In a coupled oscillator (coRNN), the position moves with the new velocity, not with the one before the step.",
        consequence="A loop that updates all states from those before the step drifts away with each step.",
        spec="""
input: {features: 3}
cells:
  cornn:
    states: [y, z]
    equations:
      z: z + 0.3 * (tanh(W @ z + V @ x + U @ y + b) - 2 * y - z)
      y: y + 0.3 * z
rnn: {type: cornn, units: 4}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="the position moves with the velocity before the step",
                instead={
                    "      z: z +": "      v: z\n      z: z +",
                    "y: y + 0.3 * z": "y: y + 0.3 * v",
                },
            ),
        ),
    ),
    Scenario(
        name="cell-padding-both-ways",
        fact="A loop over padded sequences keeps its states at padding, in both directions.",
        consequence="Final states of short sequences depend on how long the longest one is.",
        spec="""
input: {features: 3, mask_value: 0}
cells:
  peephole_gru:
    states: [h]
    equations:
      z: sigmoid(W_z @ x + p_z * h + b_z)
      n: tanh(W_n @ x + U_n @ (z * h) + b_n)
      h: (1 - z) * h + z * n
rnn: {type: peephole_gru, units: 4, bidirectional: true}
head: {units: 2}
""",
        mistakes=(Mistake(name="states change at padding", unmasked=("bidirectional_1",)),),
        batches=(Batch(("xxxxxx.", "xxx....", "..xx.x.")),),
    ),
    Scenario(
        name="cell-projection",
        fact="An LSTM with a projection has states of two sizes: its output is a product with the gated cell state, without an activation.",
        consequence="Acoustic and language models with projections (num_proj, proj_size) fail to load, or a tool activates the projection.",
        spec="""
input: {features: 3}
cells:
  projected_lstm:
    states: [h, c]
    settings: {projection: 2}
    sizes: {h: projection}
    equations:
      i: sigmoid(W_i @ x + U_i @ h + b_i)
      f: sigmoid(W_f @ x + U_f @ h + b_f)
      g: tanh(W_g @ x + U_g @ h + b_g)
      o: sigmoid(W_o @ x + U_o @ h + b_o)
      c: f * c + i * g
      h: P @ (o * tanh(c))
rnn: {type: projected_lstm, units: 4, projection: 3}
head: {units: 2}
""",
        mistakes=(
            Mistake(
                name="projection under tanh",
                instead={"h: P @ (o * tanh(c))": "h: tanh(P @ (o * tanh(c)))"},
            ),
        ),
    ),
)

"""Cells by equation that tests of several backends share, as the text below their name."""

# A value of parameters only has no batch, where it is a state or beside another vector.
OF_PARAMETERS = """\
    states: [h, c, d]
    equations:
      c: sigmoid(b_c)
      d: U_d @ c
      v: concat(tanh(b_v), x, c)
      w: concat(softplus(b_w), h)
      h: tanh(V @ v + W @ w + c * d)
    parameters: {b_v: [units], b_w: [units]}
"""

# Layers of one cell with other values of its settings, of which one is a size; cells whose classes
# would have the same name; and one that a setting makes a layer of the language.
SETTINGS = """\
version: 1
name: settings
input: {features: 3, mask_value: 0}
cells:
  leaky:
    states: [h]
    equations: {m: K @ h, h: (1 - dt) * h + dt * tanh(W @ x + U @ m + b)}
    settings: {dt: 0.5, size: 2}
    sizes: {m: size}
  leaky2: {states: [h], equations: {h: tanh(W @ x + dt * U @ h)}, settings: {dt: 1}}
rnn:
  - {type: leaky, units: 4}
  - {type: leaky, units: 4, bidirectional: true, dt: 0.25}
  - {type: leaky, units: 5, size: 3}
  - {type: leaky2, units: 2, dt: 0.5}
  - {type: leaky2, units: 3}
head: {units: 1}
"""

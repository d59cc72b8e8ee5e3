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

# Branches that are not taken, whose values or derivatives are infinite.
BRANCHES = """\
version: 1
name: branches
input: {features: 3, length: 4}
cells:
  own:
    states: [h, c]
    equations:
      a: W @ x + U @ h + b
      s: sqrt(c)
      c: 0.5 * c + tanh(K @ h + a)
      root: where(a > 0, sqrt(a), 0.1 * a) + sqrt(maximum(a, 0)) + sqrt(1 - minimum(a, 1))
      flat: sqrt(relu(a)) + sqrt(hard_sigmoid(6 * a))
      far: where(a > 9, exp(900 * a), a) + minimum(exp(900 * a), 1)
      near: where(a <= 0.2, a, where(a > 0.4, log(a - 0.4), 1 / maximum(a - 0.2, 0)))
      part: where(c > 5, s, where(V @ x > 0, sqrt(V @ x), 0))
      h: tanh(0.1 * (root + flat + far + near + part))
rnn: {type: own, units: 5}
head: {units: 2}
initializers: {kernel: {normal: 1}}
"""

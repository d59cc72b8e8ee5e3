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

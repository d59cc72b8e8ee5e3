"""tract refuses the squeezed last state of an LSTM behind a convolution, with open sizes."""

import numpy as np
import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
network (float[batch,steps,1] x) => (float[batch,2] y)
<float[1,1,2] k = {1, 1}, float[1,8,1] w = {1, 1, 1, 1, 1, 1, 1, 1}, float[16] ones =
   {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, int64[3] square = {1, 8, 2},
 int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}>
{ features = Transpose <perm: ints = [0, 2, 1]> (x)
  c = Conv (features, k)
  steps = Transpose <perm: ints = [2, 0, 1]> (c)
  r = Reshape (ones, square)
  sizes = Shape (steps)
  batch = Gather (sizes, one)
  shape = Concat <axis: int = 0> (one, batch, two)
  zeros = ConstantOfShape <value: tensor = float[1] {0}> (shape)
  all, state, cell = LSTM <hidden_size: int = 2> (steps, w, r, "", "", zeros, zeros)
  y = Squeeze (state, zero) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "network.onnx")
runnable = tract.onnx().load("network.onnx").into_model().into_runnable()
print("expected", (3, 2))
print("received", runnable.run([np.ones((3, 7, 1), np.float32)])[0].to_numpy().shape)

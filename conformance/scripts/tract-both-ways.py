"""tract refuses a bidirectional LSTM that starts from zeros of an open batch size."""

import numpy as np
import onnx.parser
import tract

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,batch,1] x) => (float[3,2,batch,1] states)
<float[2,4,1] w = {1, 1, 1, 1, 1, 1, 1, 1}, float[2,4,1] r = {1, 1, 1, 1, 1, 1, 1, 1},
 int64[1] one = {1}, int64[1] two = {2}>
{ sizes = Shape (x)
  batch = Gather (sizes, one)
  shape = Concat <axis: int = 0> (two, batch, one)
  zeros = ConstantOfShape <value: tensor = float[1] {0}> (shape)
  states = LSTM <hidden_size: int = 1, direction: string = "bidirectional">
    (x, w, r, "", "", zeros, zeros) }
"""
onnx.save(onnx.parser.parse_model(TEXT), "lstm.onnx")
runnable = tract.onnx().load("lstm.onnx").into_model().into_runnable()
print("expected", (3, 2, 4, 1))
print("received", runnable.run([np.ones((3, 4, 1), np.float32)])[0].to_numpy().shape)

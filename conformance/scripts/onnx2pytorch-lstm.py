"""onnx2pytorch refuses an LSTM with lengths, or with other activations."""

import onnx.parser
from onnx2pytorch import ConvertModel

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
lstm (float[3,1,1] x, int32[1] lengths) => (float[1,1,1] state)
<float[1,4,1] w = {1, 1, 1, 1}, float[1,4,1] r = {1, 1, 1, 1},
 float[1,8] b = {0, 0, 0, 0, 0, 0, 0, 0}>
{ "", state = LSTM <hidden_size: int = 1, activations: strings = ["Sigmoid", "Tanh", "ACTIVATION"]>
  (x, w, r, bLENGTHS) }
"""
for activation, lengths in (("Tanh", ", lengths"), ("Relu", "")):
    text = TEXT.replace("ACTIVATION", activation).replace("LENGTHS", lengths)
    print("expected: a module")
    try:
        print("received:", ConvertModel(onnx.parser.parse_model(text), experimental=True))
    except NotImplementedError as error:
        print("received:", error)

"""tract computes Softplus as log(1 + exp(x)), and LogSoftmax as the logarithm of Softmax."""

import numpy as np
import onnx.parser
import tract

TEXT = (
    '<ir_version: 8, opset_import: ["": 18]> graph (float[1,2] x) => (float[1,2] y) { y = OP (x) }'
)
for op, expected in (("Softplus", [200.0, 0.0]), ("LogSoftmax", [0.0, -400.0])):
    onnx.save(onnx.parser.parse_model(TEXT.replace("OP", op)), "op.onnx")
    model = tract.onnx().load("op.onnx").into_model().into_runnable()
    print("expected", op, expected)
    print("received", op, model.run([np.array([[200, -200]], np.float32)])[0].to_numpy()[0])

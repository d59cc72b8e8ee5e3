"""onnx2tf gives zeros for the last state of an LSTM and of an RNN behind a Transpose."""

import subprocess

import numpy as np
import onnx.parser
from ai_edge_litert.interpreter import Interpreter
from onnx.reference import ReferenceEvaluator

TEXT = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[2,3,1] x) => (float[2,1] y)
<float[1,{n},1] w = {{{ones}}}, float[1,{n},1] r = {{{ones}}}, float[1,{m}] b = {{{zeros}}},
 float[1,2,1] h = {{0, 0}}, int64[1] axis = {{0}}>
{{ steps = Transpose <perm: ints = [1, 0, 2]> (x)
   all, state{cell} = {op} <hidden_size: int = 1> (steps, w, r, b, "", h{h})
   y = Squeeze (state, axis) }}
"""
x = np.ones((2, 3, 1), np.float32)
for op, n, cell, h in (("RNN", 1, "", ""), ("LSTM", 4, ", cell", ", h")):
    ones, zeros = ", ".join(["1"] * n), ", ".join(["0"] * 2 * n)
    text = TEXT.format(op=op, n=n, m=2 * n, ones=ones, zeros=zeros, cell=cell, h=h)
    model = onnx.parser.parse_model(text)
    onnx.save(model, "model.onnx")
    command = "onnx2tf -n -i model.onnx -o tf -kat x"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    interpreter = Interpreter("tf/model_float32.tflite")
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    print("expected", op, ReferenceEvaluator(model).run(None, {"x": x})[0].ravel())
    output = interpreter.get_output_details()[0]["index"]
    print("received", op, interpreter.get_tensor(output).ravel())

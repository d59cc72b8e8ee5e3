"""ONNX files of other tools: decoded as data, and read as graphs of operators."""

"""ONNX files of other tools."""

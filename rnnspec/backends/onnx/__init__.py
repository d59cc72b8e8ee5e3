"""ONNX: a graph of fused operators in ONNX's textual syntax, run by ONNX Runtime."""

"""The gallery as ONNX files, in several runtimes."""

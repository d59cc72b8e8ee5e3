"""Tools that export recurrent networks to ONNX, and what their files compute."""

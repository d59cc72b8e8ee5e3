"""Models of PyTorch: state dicts, read as data, and live modules, which are traced."""

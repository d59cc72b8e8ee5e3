"""Live modules of PyTorch, whose ``forward`` is traced symbolically: no data passes through it."""

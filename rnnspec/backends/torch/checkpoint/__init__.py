"""Checkpoints of PyTorch, read as data: nothing in them is imported, called or executed."""

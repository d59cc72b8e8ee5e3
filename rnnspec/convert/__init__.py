"""Trained models from one kind of file to another, each result loaded again and compared."""

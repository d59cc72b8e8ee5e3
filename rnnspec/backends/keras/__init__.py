"""Keras 3: a functional model of its own layers, or a ``Sequential`` of them."""

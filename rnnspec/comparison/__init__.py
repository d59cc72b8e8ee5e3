"""The NumPy reference of a network, and the comparison of every backend with it."""

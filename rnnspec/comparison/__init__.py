"""The NumPy reference of a network, the backends compared with it, and two networks compared."""

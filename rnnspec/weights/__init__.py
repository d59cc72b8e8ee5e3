"""Canonical arrays: drawn in NumPy, read from live models and written into them."""

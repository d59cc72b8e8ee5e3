"""Canonical arrays: initialized in NumPy, and read from and written to live models."""

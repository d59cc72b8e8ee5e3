"""Differences between two networks: layers, their keys, shapes and parameters."""

"""Spec to network: every default resolved, every layer named, every shape known."""

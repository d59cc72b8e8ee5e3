"""Trained models of other tools, as a spec and its canonical arrays."""

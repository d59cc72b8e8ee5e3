"""The language: YAML with positions, models of the keys, and validation."""

"""YAML text to plain data, every value with its place."""

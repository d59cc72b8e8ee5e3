"""Parsing of YAML to plain data with the position of every value."""

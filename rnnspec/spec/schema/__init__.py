"""JSON Schema of the language."""

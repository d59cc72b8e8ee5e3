"""The language: YAML text with places, the words and what they allow, and all that can be wrong."""

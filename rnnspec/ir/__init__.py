"""The intermediate representation: plain data, no framework, no NumPy."""

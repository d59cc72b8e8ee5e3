"""The intermediate representation: plain data, without a framework or NumPy."""

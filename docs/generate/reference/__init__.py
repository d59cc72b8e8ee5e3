"""Pages of the reference, each read from the code that it is about."""

"""Messages about invalid specs: what was expected, received, and probably meant."""

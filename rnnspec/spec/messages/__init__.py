"""Problems in words: what was expected, what was received, what was probably meant."""

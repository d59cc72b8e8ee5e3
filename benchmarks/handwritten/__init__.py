"""Networks as an expert would write them by hand, without rnnspec."""

"""Conversion of trained models between kinds of file; each result is loaded and compared."""

"""The version of rnnspec."""

__version__ = "0.1.0"

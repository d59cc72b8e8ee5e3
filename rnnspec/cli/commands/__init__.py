"""The commands: one module for the arguments of each, and for what it prints."""

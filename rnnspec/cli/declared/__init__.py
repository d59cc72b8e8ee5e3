"""The arguments and options of each command, and its help."""

"""Comparisons on the command line: in this process or in several, whole or in shards."""

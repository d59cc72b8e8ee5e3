"""Advice on valid specs: rules with codes, each with a page in ``rnnspec.pages``.

A warning is probably a mistake; a note is worth knowing.
"""

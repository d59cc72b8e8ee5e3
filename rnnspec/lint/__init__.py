"""Advice on a spec that is right: rules with codes, each with a page in ``rnnspec.pages``.

A warning is probably a mistake; a note is something to know.
"""

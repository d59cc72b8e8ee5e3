"""Millions of hostile inputs; see CONTRIBUTING.md."""

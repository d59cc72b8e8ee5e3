"""Hostile inputs by the million; see CONTRIBUTING.md."""

"""Trained models of Keras 2 and 3, whoever made them, read from their files as data."""

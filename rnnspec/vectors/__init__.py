"""Pretrained word vectors: read from files, and written into live models."""

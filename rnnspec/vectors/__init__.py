"""Pretrained word vectors: read from files, put into a live model."""

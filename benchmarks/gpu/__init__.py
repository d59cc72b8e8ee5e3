"""The fused path on a GPU: is it kept, is it equal, and how fast is it."""

"""The JAX backend: an ``nnx.Module`` of Flax."""

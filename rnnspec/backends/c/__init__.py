"""The C backend: C99 without a library, a heap or static state."""

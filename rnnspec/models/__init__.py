"""Live models: built, taken over from other tools, read, written, saved and converted."""

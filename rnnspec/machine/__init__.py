"""The machine that rnnspec runs on: its memory, its processes, and what is installed."""

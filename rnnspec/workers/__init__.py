"""Worker processes: how they start and end, and how they share work."""

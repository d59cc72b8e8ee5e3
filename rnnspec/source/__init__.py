"""Generated source: rendered to text from a backend's description, and executed."""

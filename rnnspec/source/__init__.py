"""Source: from a backend's description to text, and from text to a live module."""

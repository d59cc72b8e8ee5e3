"""From a backend's description of source to text, and from text to a live module."""

"""Shards: parts of a comparison that run apart, and whose reports are joined."""

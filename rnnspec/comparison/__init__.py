"""What a network means, and the proof that every backend computes it."""

"""What changed from one network to another: layers, their keys, and what follows."""

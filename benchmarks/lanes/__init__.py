"""What runs in a lane: one module for each framework, with a function `prepare`."""

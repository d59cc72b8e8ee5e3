"""Training on every backend, by written-out optimizers and by the frameworks' own."""

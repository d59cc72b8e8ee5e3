"""What each framework runs in its process: the model of rnnspec, and its opponents."""

"""The cost of rnnspec, as ratios to named opponents measured in the same rounds."""

"""What rnnspec costs, each time as a ratio to a named opponent measured in the same rounds."""

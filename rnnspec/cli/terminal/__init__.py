"""What reaches the terminal: messages, tables, patches, progress."""

"""Terminal output: messages, tables, patches, progress."""

"""Stand-alone modules that run the suite in one tool; they import nothing of rnnspec."""

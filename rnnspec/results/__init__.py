"""Results as people see them: summaries, tables of text, and HTML for notebooks and pages."""

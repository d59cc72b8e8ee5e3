"""Generate the pages of the site: ``python -m docs.generate``."""

"""Pictures of networks, in plain Python: one layout, and one file per format."""

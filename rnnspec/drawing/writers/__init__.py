"""Writers of pictures: one file for each format."""

"""The layout of a picture: a network becomes shapes with their places."""

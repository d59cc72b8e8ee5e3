"""The written pages of the documentation, and the program that generates the others."""

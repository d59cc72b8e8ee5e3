"""Models of Keras, layer by layer in the words of the language."""

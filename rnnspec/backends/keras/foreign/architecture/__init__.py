"""The configuration of a Keras model, layer by layer in the words of the language."""

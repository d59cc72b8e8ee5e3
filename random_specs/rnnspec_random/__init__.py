"""Random specs of small networks over the whole language, made smaller if they fail."""

"""The templates of generated source, a folder a backend; installed as ``rnnspec.templates``."""

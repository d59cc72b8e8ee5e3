"""Reading of a folder whose arrays were saved from JAX."""

from __future__ import annotations

from rnnspec.backends.model_files import folder_reader, framework_of

READER = folder_reader("JAX", lambda path: framework_of(path) == "jax")

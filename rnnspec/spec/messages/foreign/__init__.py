"""Names from Keras and PyTorch, with their equivalent in the language or the reason for none."""

from rnnspec.spec.messages.foreign.keys import form_for, key_for
from rnnspec.spec.messages.foreign.layers import layer_for, type_for
from rnnspec.spec.messages.foreign.words import home_for, value_for

__all__ = ["form_for", "home_for", "key_for", "layer_for", "type_for", "value_for"]

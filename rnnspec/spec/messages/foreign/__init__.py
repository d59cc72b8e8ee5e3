"""Keras's and PyTorch's own words: what each is called here, or why there is nothing to call."""

from rnnspec.spec.messages.foreign.keys import form_for, key_for
from rnnspec.spec.messages.foreign.layers import layer_for, type_for
from rnnspec.spec.messages.foreign.words import home_for, word_for

__all__ = ["form_for", "home_for", "key_for", "layer_for", "type_for", "word_for"]

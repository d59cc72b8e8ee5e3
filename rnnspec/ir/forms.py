"""Forms of generated source."""

from __future__ import annotations

from typing import Literal, get_args

Form = Literal["training", "inference", "step"]
"""A form of generated source: for training, for inference only, or for one chunk after another."""

FORMS: tuple[Form, ...] = get_args(Form)

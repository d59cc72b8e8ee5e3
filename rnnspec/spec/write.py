"""A spec as YAML text, for what rnnspec itself comes up with."""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Dumper(yaml.SafeDumper):
    """Quotes all text but words: PyYAML leaves bare what is text in YAML 1.1 alone, such as 0E0."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(spec: dict[str, Any]) -> str:
    """Return plain data as a YAML document that ``rnnspec.loads`` reads, keys in their order."""
    return yaml.dump(
        spec, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True
    )

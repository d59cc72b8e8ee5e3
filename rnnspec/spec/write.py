"""A spec as YAML text, for what rnnspec itself comes up with."""

from __future__ import annotations

from typing import Any

import yaml


def dump(spec: dict[str, Any]) -> str:
    """Return plain data as a YAML document that ``rnnspec.loads`` reads, keys in their order."""
    return yaml.safe_dump(spec, sort_keys=False, default_flow_style=None, allow_unicode=True)

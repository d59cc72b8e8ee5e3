"""Writing of specs as YAML, for specs that rnnspec generates."""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes all strings except plain names.

    PyYAML writes strings of YAML 1.1 unquoted even if they are numbers in YAML 1.2, such as 0E0. It
    writes no alias, which the language does not have.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """True if a value that occurs twice is written again."""
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: Any = None) -> yaml.MappingNode:
        """Return a mapping; the equations of a cell are below each other, most without quotes."""
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, value in node.value:
            if key.value == "equations":
                items = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for lines in items:
                    lines.flow_style = False
                    for _, expression in lines.value:
                        # A number would be one without quotes.
                        if re.search("[ (]|^[A-Za-z]", str(expression.value)):
                            expression.style = None
        return node


def _represent_string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_string)


def dump(spec: dict[str, Any]) -> str:
    """Return plain data as a YAML document for ``rnnspec.loads``; the order of keys is kept."""
    return yaml.dump(
        # With None, mappings of scalars take one line each, as people write layers.
        spec,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
    )

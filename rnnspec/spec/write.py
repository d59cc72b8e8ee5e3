"""Writing of specs as YAML, for specs that rnnspec generates."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Any

import yaml
from yaml.representer import RepresenterError

from rnnspec.errors import UsageError
from rnnspec.errors.arguments import received

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


def _represent_number(dumper: _Dumper, value: Any) -> yaml.ScalarNode:
    """Return a number of another library, such as NumPy's."""
    match value:
        case Integral():
            return dumper.represent_int(int(value))
        case Real():
            return dumper.represent_float(float(value))
        case _:
            raise RepresenterError("cannot represent an object", value)


_Dumper.add_representer(str, _represent_string)
_Dumper.add_representer(None, _represent_number)  # type: ignore[arg-type]  # all else


def flow(value: Any) -> str:
    """Return plain data as YAML on one line.

    Raises:
        UsageError: it is no plain data.
    """
    text = _dump(value, default_flow_style=True, width=math.inf)
    # A scalar alone is followed by the end of its document.
    return text.removesuffix("\n...\n").rstrip("\n")


def dump(spec: dict[str, Any]) -> str:
    """Return plain data as a YAML document for ``rnnspec.loads``; the order of keys is kept.

    Raises:
        UsageError: it is no plain data.
    """
    # With None, mappings of scalars take one line each, as people write layers.
    return _dump(spec, default_flow_style=None)


def _dump(value: Any, **layout: Any) -> str:
    try:
        text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **layout)
    except RepresenterError as error:
        raise UsageError(f"expected plain data, received {received(error.args[1])}") from None
    except RecursionError:
        raise UsageError("expected plain data, received some that contains itself") from None
    return str(text)

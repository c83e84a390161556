"""The settings of a run by dotted key: of its config, and as they were typed."""

from collections.abc import Mapping, Sequence
from typing import Any


def config_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a resolved config by dotted key; a list is text such as `[low,high]`."""
    values: dict[str, Any] = {}
    _flatten(config, "", values)
    return values


def typed_values(overrides: Sequence[str]) -> dict[str, str]:
    """The text of each override by its key, without `+` and quotes; where a key is given twice, the last counts."""
    parts = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: value.strip("'\"") for key, _, value in parts}


def _flatten(node: Any, key: str, values: dict[str, Any]) -> None:
    if isinstance(node, Mapping):
        for name, below in node.items():
            _flatten(below, f"{key}.{name}" if key else str(name), values)
    else:
        values[key] = _text(node) if isinstance(node, list) else node


def _text(node: Any) -> str:
    return f"[{','.join(map(_text, node))}]" if isinstance(node, list) else str(node)

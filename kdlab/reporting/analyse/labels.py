"""Short names of settings, such as `T 4 · alpha 0.7`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

SHORT = {"loss.temperature": "T", "model/student": "student", "model/teacher": "teacher"}
OWNERS = {
    "plan.baseline.": "baseline ",
    "plan.from_labels.": "labels only ",
    "plan.teacher.": "teacher ",
    "model.teacher.": "teacher ",
}


def names(keys: Sequence[str]) -> dict[str, str]:
    """A short name of each dotted key; keys with the same last part get two parts."""
    short = {key: _name(key, 1) for key in keys}
    common = Counter(short.values())
    return {key: name if common[name] == 1 else _name(key, 2) for key, name in short.items()}


def label(values: Mapping[str, Any], named: Mapping[str, str]) -> str:
    """Such as `T 4 · alpha 0.7`, without settings that the run's plan does not have; empty without values.

    Args:
        values: by dotted key.
        named: a name for each key.
    """
    present = {key: value for key, value in values.items() if value is not None} or values
    return " · ".join(f"{named[key]} {shown(value)}" for key, value in present.items())


def shown(value: Any) -> str:
    """A value as one would type it: `4` for 4.0, no brackets around a list."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value).strip("[]")


def _name(key: str, parts: int) -> str:
    if key in SHORT:
        return SHORT[key]
    owner = next((name for start, name in OWNERS.items() if key.startswith(start)), "")
    return owner + " ".join(re.split(r"[./@]", key)[-parts:]).replace("_", " ")

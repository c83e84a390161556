"""The result of a run in a few words, without loading torch."""

from collections.abc import Mapping
from typing import Any

from kdlab.tasks.description import Description


def outcome(result: Mapping[str, Any]) -> str:
    """The result of a finished run in a few words."""
    gain, task = result.get("gain"), Description.of(result)
    unit = " %" if task.headline.is_relative else ""
    reached = task.headline.show(result["student"][task.outcome])
    return reached + (f", gain {gain:+.2f}{unit}" if gain is not None else "")

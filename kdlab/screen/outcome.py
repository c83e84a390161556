"""The result of a run in a few words, without loading torch."""

from collections.abc import Mapping
from typing import Any

from kdlab.runtime.export_summary import shipped
from kdlab.tasks.description import Description


def outcome(result: Mapping[str, Any]) -> str:
    """The result of a finished run in a few words."""
    gain, task = result.get("gain"), Description.of(result)
    unit = " %" if task.headline.is_relative else ""
    reached = task.headline.show(result["student"][task.outcome])
    gained = f", gain {gain:+.2f}{unit}" if gain is not None else ""
    return f"{reached}{gained}{_export(result.get('export'))}"


def _export(summary: Mapping[str, Any] | None) -> str:
    """Such as `, resnet20-int8.onnx 0.31 ms`, and why it cannot be shipped."""
    if summary is None:
        return ""
    if summary.get("error"):
        return f", not exported: {summary['error']}"
    found = shipped(summary)
    if found is None:
        return ", every artifact is refused"
    over = " (over budget)" if summary["within_budget"] is False else ""
    return f", {found['artifact']} {1000 * found['p50']:.2f} ms{over}"

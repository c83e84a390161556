"""What rounds of measurements say: medians with their range over processes, and ratios within a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from .rounds import KEY, Row, key_of

Key = tuple[str, str, int, int]
MEDIANS = ("p95", "p99", "cold_start", "memory_bytes", "joules", "bare_p50")


class Span(NamedTuple):
    """The median of all processes, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Span:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


def summaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry for each variant, in the order in which they first appear.

    Each has the key's fields and `p50`, `p50_least`, `p50_most` (seconds, over processes), the medians of `MEDIANS`
    (None where nothing was measured), `noise` (the range of p50 as a share of it), `calls` that were timed in each
    process, and `processes`; or `error`. The p99 of fewer than 100 calls is hardly more than their slowest.
    """
    grouped: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=key_of):
        grouped.setdefault(key_of(row), []).append(row)
    return [_summary(group) for group in grouped.values()]


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    named = {field: rows[0][field] for field in KEY}
    if failed := [row["error"] for row in rows if "error" in row]:
        return {**named, "error": failed[0]}
    p50 = Span.of([row["p50"] for row in rows])
    measured = {name: _median([row[name] for row in rows]) for name in MEDIANS}
    return {
        **named,
        "p50": p50.median,
        "p50_least": p50.least,
        "p50_most": p50.most,
        **measured,
        "noise": (p50.most - p50.least) / p50.median,
        "calls": rows[0]["calls"],
        "processes": len(rows),
    }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def speedup(rows: Sequence[Row], of: Key, over: Key) -> Span | None:
    """How many times as fast one variant is as another, round by round; None where either was not measured."""
    seconds: Mapping[Key, dict[int, float]] = {
        key: {row["round"]: row["p50"] for row in rows if key_of(row) == key and "p50" in row} for key in (of, over)
    }
    shared = seconds[of].keys() & seconds[over].keys()
    return Span.of([seconds[over][number] / seconds[of][number] for number in shared]) if shared else None


def speedups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How many times as fast each variant is as each other one at the same batch and threads, round by round."""
    keys = list(dict.fromkeys(key_of(row) for row in sorted(rows, key=key_of) if "p50" in row))
    found = []
    for of in keys:
        for over in keys:
            if of != over and of[2:] == over[2:] and (span := speedup(rows, of, over)):
                named = {"of": list(of[:2]), "over": list(over[:2]), "batch": of[2], "threads": of[3]}
                found.append({**named, **span._asdict()})
    return found

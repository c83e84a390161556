"""Published figures to compare with: the rows of `published.csv` for the networks and the data of a report."""

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kdlab.reporting.evidence import Evidence, Interval, Run, Setting

TABLE = Path(__file__).with_name("published.csv")
NUMBERS = ("teacher", "student_alone", "student")


def published_rows(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    """Rows for each pair and data set of the evidence, with the matching setting's own test accuracy as `here`.

    Where several settings use one method, the first counts: the best, where they are ranked.
    """
    runs = [run for setting in evidence.settings for run in setting.runs]
    pairs = {pair: None for run in runs if (pair := _run_pair(run))}
    for row in table():
        if _row_pair(row) in pairs:
            numbers = {name: float(row[name]) if row[name] else None for name in NUMBERS}
            yield {**row, **numbers, "here": _here(row, evidence.settings)}


@cache
def table() -> tuple[Mapping[str, str], ...]:
    """All published figures in kdlab, as text, with kdlab's names of networks and data."""
    with TABLE.open(newline="") as file:
        return tuple(csv.DictReader(file))


def _here(row: Mapping[str, str], settings: tuple[Setting, ...]) -> Interval | None:
    paired = (one for one in settings if _run_pair(one.runs[0]) == _row_pair(row))
    alike = (one for one in paired if row["loss"] and one.runs[0].values.get("loss") == row["loss"])
    first = next(alike, None)
    return first.reached() if first else None


def _row_pair(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["data"], row["teacher_network"], row["student_network"]


def _run_pair(run: Run) -> tuple[str, str, str] | None:
    names = [run.values.get(key) for key in ("data._target_", "model.teacher.name", "model.student.name")]
    if not all(names):
        return None
    data, teacher, student = map(str, names)
    return data.rpartition(".")[2], teacher, student

"""Reads the records of a sweep's cells, also half-written ones and those of another version."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kdlab.runtime.sweep_records import ABOUT, Cell, is_gone

FIELDS = {one.name for one in fields(Cell)}
HOW_MANY = {  # cells that are neither results nor failures
    "stopped": "{} stopped early by the search",
    "running": "{} still running",
    "waiting": "{} not yet started",
}


@dataclass(frozen=True)
class Lost:
    """A cell or a run without a result.

    Attributes:
        overrides: as typed.
        error: its message.
        path: its run directory, if it has one.
    """

    overrides: tuple[str, ...]
    error: str
    path: Path | None = None


@dataclass
class SweepRecord:
    """The content of a sweep's folder.

    Attributes:
        folder: the sweep's.
        about: the content of `sweep.json`.
        cells: those with a record.
        lost: cells whose process ended without a result, or that never started.
        preliminary: remarks on cells that are running or not yet started.
        remarks: how many cells were stopped, and what was skipped.
        runs: directories of its cells with a result.
    """

    folder: Path
    about: Mapping[str, Any]
    cells: list[Cell] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    preliminary: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    runs: set[Path] = field(default_factory=set)


def read_record(folder: Path) -> SweepRecord:
    """Reads the folder of a sweep; a file that cannot be read becomes a remark."""
    record = SweepRecord(folder, {})
    record.about = _read(folder / ABOUT, record) or {}
    paths = (folder / "cells").glob("[0-9]*.json")
    for path in sorted(paths, key=lambda path: int("".join(filter(str.isdigit, path.stem)))):
        content = _read(path, record)
        if content is not None:
            record.cells += _cell(content, path, record)
    _sort_unfinished(record)
    return record


def _sort_unfinished(record: SweepRecord) -> None:
    """Sorts cells without a result into those that will still run and those that are lost."""
    is_running = _is_running(record.about)
    counts = Counter(cell.status for cell in record.cells if cell.status == "stopped")
    for cell in record.cells:
        if cell.status == "running" and is_running and not cell.is_lost:
            counts["running"] += 1
        elif cell.status == "running":
            error = "did not finish: its process is gone; run the sweep's command again to continue it"
            path = (record.folder / cell.run).resolve() if cell.run else None
            record.lost.append(Lost(cell.overrides, error, path))
    missing = list(_missing(record))
    if is_running:
        counts["waiting"] += len(missing)
    else:
        record.lost += [Lost((f"cell {number}",), "was never started") for number in missing]
    for status, count in counts.items():
        message = f"of the cells of {record.folder.name}, {HOW_MANY[status].format(count)}."
        if count and status == "stopped":
            record.remarks.append(f"O{message[1:]}")
        elif count:
            record.preliminary.append(f"The result may still change: {message}")


def _missing(record: SweepRecord) -> Iterator[int]:
    expected = record.about.get("cells")
    started = {cell.cell for cell in record.cells}
    if isinstance(expected, int) and not record.about.get("is_search"):
        yield from (number for number in range(expected) if number not in started)


def _is_running(about: Mapping[str, Any]) -> bool:
    """Whether the command that runs the sweep is alive; assumed so where it runs on another machine."""
    if about.get("ended") or not isinstance(about.get("pid"), int):
        return False
    return not is_gone(about["pid"], about.get("host"))


def _cell(content: Mapping[str, Any], path: Path, record: SweepRecord) -> list[Cell]:
    try:
        cell = Cell(**{name: value for name, value in content.items() if name in FIELDS})
        return [Cell(**{**vars(cell), "overrides": tuple(map(str, cell.overrides))})]
    except TypeError as error:
        record.remarks.append(f"cells/{path.name} was skipped: it is not the record of a cell ({error}).")
        return []


def _read(path: Path, record: SweepRecord) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        record.remarks.append(f"{path.parent.name}/{path.name} was skipped: it cannot be read ({error}).")
        return None
    if isinstance(content, dict):
        return content
    record.remarks.append(f"{path.parent.name}/{path.name} was skipped: it is not a record.")
    return None

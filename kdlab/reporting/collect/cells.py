"""The records of a sweep's cells, also where they are half-written or of another version."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kdlab.runtime.sweep_records import ABOUT, Cell, is_gone

KNOWN = {known.name for known in fields(Cell)}
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
        error: in its own words.
        path: its run directory, if it got one.
    """

    overrides: tuple[str, ...]
    error: str
    path: Path | None = None


@dataclass
class SweepRecord:
    """What a sweep's folder tells.

    Attributes:
        folder: the sweep's.
        about: the content of `sweep.json`.
        cells: those with a record.
        lost: cells that ended without a word, or were never begun.
        preliminary: that cells are on their way.
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
    """All that the folder of a sweep tells; what cannot be read is a remark."""
    record = SweepRecord(folder, {})
    record.about = _read(folder / ABOUT, record) or {}
    paths = (folder / "cells").glob("[0-9]*.json")
    for path in sorted(paths, key=lambda path: int("".join(filter(str.isdigit, path.stem)))):
        said = _read(path, record)
        if said is not None:
            record.cells += _cell(said, path, record)
    _judge(record)
    return record


def _judge(record: SweepRecord) -> None:
    """Tells cells that are on their way from those that will not come."""
    is_on = _is_on(record.about)
    counts = Counter(cell.status for cell in record.cells if cell.status == "stopped")
    for cell in record.cells:
        if cell.status == "running" and is_on and not cell.is_lost:
            counts["running"] += 1
        elif cell.status == "running":
            error = "did not finish: its process is gone; the sweep's command continues it"
            path = (record.folder / cell.run).resolve() if cell.run else None
            record.lost.append(Lost(cell.overrides, error, path))
    missing = list(_missing(record))
    if is_on:
        counts["waiting"] += len(missing)
    else:
        record.lost += [Lost((f"cell {number}",), "was never started") for number in missing]
    for status, count in counts.items():
        said = f"of the cells of {record.folder.name}, {HOW_MANY[status].format(count)}."
        if count and status == "stopped":
            record.remarks.append(f"O{said[1:]}")
        elif count:
            record.preliminary.append(f"The result may still change: {said}")


def _missing(record: SweepRecord) -> Iterator[int]:
    expected = record.about.get("cells")
    begun = {cell.cell for cell in record.cells}
    if isinstance(expected, int) and not record.about.get("is_search"):
        yield from (number for number in range(expected) if number not in begun)


def _is_on(about: Mapping[str, Any]) -> bool:
    """Whether the command that runs the sweep is alive; of another machine's that cannot be seen."""
    if about.get("ended") or not isinstance(about.get("pid"), int):
        return False
    return not is_gone(about["pid"], about.get("host"))


def _cell(said: Mapping[str, Any], path: Path, record: SweepRecord) -> list[Cell]:
    try:
        cell = Cell(**{name: value for name, value in said.items() if name in KNOWN})
        return [Cell(**{**vars(cell), "overrides": tuple(map(str, cell.overrides))})]
    except TypeError as error:
        record.remarks.append(f"cells/{path.name} was skipped: it is not the record of a cell ({error}).")
        return []


def _read(path: Path, record: SweepRecord) -> dict[str, Any] | None:
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        record.remarks.append(f"{path.parent.name}/{path.name} was skipped: it cannot be read ({error}).")
        return None
    if isinstance(said, dict):
        return said
    record.remarks.append(f"{path.parent.name}/{path.name} was skipped: it is not a record.")
    return None

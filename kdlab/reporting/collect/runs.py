"""Finds what runs and sweeps left: finished results, and cells that came to none."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdlab.errors import BadInput
from kdlab.reporting.collect.cells import Lost, SweepRecord, read_record
from kdlab.reporting.collect.options import with_options
from kdlab.reporting.collect.values import config_values, typed_values
from kdlab.reporting.evidence import Run
from kdlab.runtime.sweep_records import Cell
from kdlab.tasks.description import Description

RESULT = "result.json"
PASSED_BY = ("store", "wandb", "report", "cells")  # folders in which there are no runs


@dataclass
class Found:
    """All that lies below some folders.

    Attributes:
        runs: finished, each once.
        typed: by the path of a run, the values of its overrides by key, as typed.
        lost: cells and runs without a result.
        sweeps: met.
        remarks: what was passed over, and why.
    """

    runs: list[Run] = field(default_factory=list)
    typed: dict[Path, dict[str, str]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    sweeps: list[SweepRecord] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find(folders: Sequence[str | Path]) -> Found:
    """Reads every run and sweep in and below some folders.

    Raises:
        BadInput: a folder is not there, or there is neither run nor sweep in any of them.
    """
    found, met = Found(), set[Path]()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise BadInput(f"DIR must be the folder of a run or a sweep, got {folder}, which is not there.")
        for place, is_sweep in _places(folder.resolve()):
            if is_sweep:
                _read_sweep(place, found, met)
            else:
                _read_run(place, None, found, met)
    found.runs = with_options(found.runs, [found.typed[run.path] for run in found.runs])
    finished = {run.path for run in found.runs}
    found.lost = [lost for lost in found.lost if lost.path not in finished]
    if not (found.runs or found.lost or found.sweeps):
        raise BadInput(
            f"DIR must hold a run that ended or a sweep, got {', '.join(map(str, folders))} without any. "
            "Name a run directory, a sweep's folder, or paths.outputs with all of them."
        )
    return found


def _places(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of sweeps, which come first as they know what was typed, and those with a result."""
    runs = []
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if name not in PASSED_BY and not name.startswith("."))
        if "sweep.json" in files:
            yield Path(place), True
        elif RESULT in files:
            runs.append(Path(place))
    yield from ((place, False) for place in runs)


def _read_sweep(folder: Path, found: Found, met: set[Path]) -> None:
    if folder in met:
        return
    met.add(folder)
    record = read_record(folder)
    found.sweeps.append(record)
    found.remarks += record.remarks
    found.lost += record.lost
    for cell in record.cells:
        place = (folder / cell.run).resolve() if cell.run else None
        if place and (place / RESULT).is_file():
            record.runs.add(place)
            _read_run(place, cell, found, met)
        elif cell.status in ("failed", "finished"):
            error = cell.error or "its run directory has no result any more"
            found.lost.append(Lost(cell.overrides, error, place))


def _read_run(place: Path, cell: Cell | None, found: Found, met: set[Path]) -> None:
    if place in met:
        return
    met.add(place)
    result = _result(place, found)
    if result is None:
        return
    overrides = cell.overrides if cell else tuple(_overrides(place))
    if result["status"] == "finished":
        found.typed[place] = typed_values(overrides)
        values = config_values(result.get("config") or {})
        found.runs.append(Run(place, result, {**found.typed[place], **values}))
    elif not cell or cell.status not in ("running", "stopped"):  # of those the error is an older one
        found.lost.append(Lost(overrides, str(result.get("error") or "no error was noted"), place))


def _result(place: Path, found: Found) -> dict[str, Any] | None:
    try:
        result = json.loads((place / RESULT).read_text())
    except (OSError, ValueError) as error:
        found.remarks.append(f"{place.name}/{RESULT} was skipped: it cannot be read ({error}).")
        return None
    if isinstance(result, dict) and _is_whole(result):
        return result
    if not (place / "config.yaml").is_file():  # that of a stage tells of no run, and is no surprise
        found.remarks.append(f"{place.name}/{RESULT} was skipped: it is not the result of a run.")
    return None


def _is_whole(result: Mapping[str, Any]) -> bool:
    if result.get("status") == "failed":
        return True
    student = result.get("student")
    has_figure = isinstance(student, dict) and isinstance(student.get(Description.of(result).outcome), int | float)
    return result.get("status") == "finished" and has_figure and isinstance(result.get("config") or {}, dict)


def _overrides(place: Path) -> list[str]:
    try:
        said = yaml.safe_load((place / ".hydra" / "overrides.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [str(override) for override in said] if isinstance(said, list) else []

"""Finds runs and sweeps in folders: finished results, and cells without one."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdlab.errors import BadInput
from kdlab.models.stage_folder import ROBUSTNESS
from kdlab.reporting.analyse.robustness import sentences
from kdlab.reporting.collect.cells import Lost, SweepRecord, read_record
from kdlab.reporting.collect.comparisons import comparisons
from kdlab.reporting.collect.exports import exports, is_export
from kdlab.reporting.collect.options import with_options
from kdlab.reporting.collect.values import config_values, typed_values
from kdlab.reporting.evidence import Exported, Run
from kdlab.runtime.sweep_records import Cell
from kdlab.tasks.description import Description

RESULT = "result.json"
SKIPPED = ("store", "wandb", "report", "cells")  # folders without runs


@dataclass
class Found:
    """All runs and sweeps in and below some folders.

    Attributes:
        runs: finished, each once.
        typed: by the path of a run, the values of its overrides by key, as typed.
        exports: by the path of a run, those in its directory, newest first.
        lost: cells and runs without a result.
        sweeps: with their records.
        comparisons: of `kdlab.compare`: the folder, and the content of its `comparison.json`.
        remarks: what was skipped, and why.
    """

    runs: list[Run] = field(default_factory=list)
    typed: dict[Path, dict[str, str]] = field(default_factory=dict)
    exports: dict[Path, list[Exported]] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    sweeps: list[SweepRecord] = field(default_factory=list)
    comparisons: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def find(folders: Sequence[str | Path]) -> Found:
    """Reads every run and sweep in and below some folders.

    Raises:
        BadInput: a folder is not there, or none of them holds a run or a sweep.
    """
    found, seen = Found(), set[Path]()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise BadInput(f"DIR must be the folder of a run or a sweep, got {folder}, which is not there.")
        found.comparisons |= comparisons(folder.resolve(), found.remarks)
        for path, is_sweep in _find_paths(folder.resolve()):
            if is_sweep:
                _read_sweep(path, found, seen)
            else:
                _read_run(path, None, found, seen)
    found.runs = with_options(found.runs, [found.typed[run.path] for run in found.runs])
    finished = {run.path for run in found.runs}
    found.lost = [lost for lost in found.lost if lost.path not in finished]
    if not (found.runs or found.lost or found.sweeps or found.comparisons):
        raise BadInput(
            f"DIR must hold a run that ended or a sweep, got {', '.join(map(str, folders))} without any. "
            "Name a run directory, a sweep's folder, or paths.outputs with all of them."
        )
    return found


def _find_paths(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of sweeps, first because they record the overrides, then those of runs."""
    runs = []
    for path, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name not in SKIPPED and not name.startswith("."))
        if "sweep.json" in files:
            yield Path(path), True
        elif RESULT in files:
            runs.append(Path(path))
    yield from ((run, False) for run in runs)


def _read_sweep(folder: Path, found: Found, seen: set[Path]) -> None:
    if folder in seen:
        return
    seen.add(folder)
    record = read_record(folder)
    found.sweeps.append(record)
    found.remarks += record.remarks
    found.lost += record.lost
    for cell in record.cells:
        run = (folder / cell.run).resolve() if cell.run else None
        if run and (run / RESULT).is_file():
            record.runs.add(run)
            _read_run(run, cell, found, seen)
        elif cell.status in ("failed", "finished"):
            error = cell.error or "its run directory has no result any more"
            found.lost.append(Lost(cell.overrides, error, run))


def _read_run(folder: Path, cell: Cell | None, found: Found, seen: set[Path]) -> None:
    if folder in seen:
        return
    seen.add(folder)
    result = _result(folder, found)
    if result is None:
        return
    overrides = cell.overrides if cell else tuple(_overrides(folder))
    if result["status"] == "finished":
        found.typed[folder] = typed_values(overrides)
        values = config_values(result.get("config") or {})
        found.exports[folder] = exports(folder, found.remarks)
        if content := _robustness(folder, found.remarks):
            result["robustness"] = content
        if "export" not in result and found.exports[folder]:  # made later, by kdlab.export
            result["export"] = found.exports[folder][0].summary
        found.runs.append(Run(folder, result, {**found.typed[folder], **values}))
    elif not cell or cell.status not in ("running", "stopped"):  # their error is of an earlier attempt
        found.lost.append(Lost(overrides, str(result.get("error") or "no error was recorded"), folder))


def _robustness(folder: Path, remarks: list[str]) -> dict[str, Any] | None:
    """What `kdlab.evaluate` found on corrupted images."""
    try:
        content: dict[str, Any] = json.loads((folder / ROBUSTNESS).read_text())
        sentences(content)  # every field that the report reads is there
        return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        remarks.append(f"{folder.name}/{ROBUSTNESS} was skipped: it cannot be read ({type(error).__name__}: {error}).")
        return None


def _result(folder: Path, found: Found) -> dict[str, Any] | None:
    try:
        result = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError) as error:
        found.remarks.append(f"{folder.name}/{RESULT} was skipped: it cannot be read ({error}).")
        return None
    if isinstance(result, dict) and is_export(result):  # of a run, or of a stage in a store
        return None
    if isinstance(result, dict) and _is_whole(result):
        return result
    if not (folder / "config.yaml").is_file():  # a folder with one is a stage, which needs no remark
        found.remarks.append(f"{folder.name}/{RESULT} was skipped: it is not the result of a run.")
    return None


def _is_whole(result: Mapping[str, Any]) -> bool:
    if result.get("status") == "failed":
        return True
    student = result.get("student")
    has_figure = isinstance(student, dict) and isinstance(student.get(Description.of(result).outcome), int | float)
    return result.get("status") == "finished" and has_figure and isinstance(result.get("config") or {}, dict)


def _overrides(folder: Path) -> list[str]:
    try:
        overrides = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [str(override) for override in overrides] if isinstance(overrides, list) else []

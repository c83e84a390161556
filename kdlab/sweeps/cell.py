"""The cell of a sweep that this process runs, and its record."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from kdlab.runtime.sweep_records import ABOUT, Cell, cell_path, read_cell, read_sweep, write_cell


def sweep_folder() -> Path | None:
    """The folder of the sweep that this process runs a cell of; None outside sweeps."""
    settings = HydraConfig.get()
    return Path(settings.sweep.dir) if settings.mode == RunMode.MULTIRUN else None


def sweep_group() -> str | None:
    """The name of that folder, under which W&B groups its cells."""
    folder = sweep_folder()
    return folder.name if folder else None


def sweep_question() -> str | None:
    """The question of the sweep; None outside sweeps, and for a sweep without a file."""
    folder = sweep_folder()
    return read_sweep(folder)[0].question if folder and (folder / ABOUT).is_file() else None


def begin_cell() -> None:
    """Records that this process begins its cell; does nothing outside sweeps."""
    if folder := sweep_folder():
        job = HydraConfig.get()
        (folder / "cells").mkdir(parents=True, exist_ok=True)
        number, overrides = int(job.job.num), tuple(job.overrides.task)
        write_cell(folder, Cell(number, overrides, "running", os.getpid(), socket.gethostname(), time.time()))


def ended_before() -> int | None:
    """The exit code of this process's cell if an earlier launch of the same start ended it; else None."""
    job = HydraConfig.get()
    if not (folder := sweep_folder()) or not cell_path(folder, int(job.job.num)).is_file():
        return None
    _, start = read_sweep(folder)
    cell = read_cell(folder, int(job.job.num))
    if not cell.ended or not start.began(cell):
        return None
    return (cell.exit_code or 0) if cell.overrides == tuple(job.overrides.task) else None


def note_cell(**fields: Any) -> None:
    """Sets fields in the record of this process's cell; does nothing outside sweeps."""
    if folder := sweep_folder():
        write_cell(folder, replace(read_cell(folder, int(HydraConfig.get().job.num)), **fields))


def note_run(directory: Path) -> None:
    """Adds the cell's run directory to its record."""
    if folder := sweep_folder():
        note_cell(run=os.path.relpath(directory, folder))


def end_cell(status: str, exit_code: int, error: str | None = None) -> None:
    """Records how the cell ended."""
    note_cell(status=status, exit_code=exit_code, error=error, ended=time.time())

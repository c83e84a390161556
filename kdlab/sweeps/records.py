"""A sweep's own folder: what was asked, and how each of its cells goes, whichever process runs it."""

import json
import os
import shlex
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from kdlab.errors import BadInput
from kdlab.store.atomic import write_text_atomically

ABOUT = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """What a multirun asks.

    Attributes:
        folder: where it keeps its records; the same command always has the same one.
        name: the chosen option of `sweeps/`, or `sweep`.
        question: the first line of that option; None for a sweep that was only typed.
        overrides: as typed.
        varied: the values of each key that varies, as text.
        cells: how many there will be; None when only the sweeper knows.
        sweeper: its class.
        launcher: its class.
    """

    folder: Path
    name: str
    question: str | None
    overrides: tuple[str, ...]
    varied: Mapping[str, tuple[str, ...]]
    cells: int | None
    sweeper: str
    launcher: str

    @property
    def is_parallel(self) -> bool:
        """Whether its cells run in other processes than the one that was started."""
        return not self.launcher.endswith("BasicLauncher")

    @property
    def is_search(self) -> bool:
        """Whether cells of earlier starts stand, and are not run again: each is drawn from what those before found."""
        return self.sweeper.endswith("OptunaSweeper")

    @property
    def command(self) -> str:
        """What a person typed, or could have."""
        return shlex.join(["python", "-m", "kdlab.train", "-m", *self.overrides])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Says in `sweep.json` what runs, by whom, and, after the body, when it ended."""
        start = Start(os.getpid(), socket.gethostname(), time.time())
        self._write(start)
        try:
            yield
        finally:
            self._write(replace(start, ended=time.time()))

    def _write(self, start: "Start") -> None:
        said = {**asdict(self), "command": self.command, **asdict(start)}
        del said["folder"]
        write_text_atomically(self.folder / ABOUT, json.dumps(said, indent=2) + "\n")


@dataclass(frozen=True)
class Start:
    """The last time that a sweep was started.

    Attributes:
        pid, host: the process that a person started.
        started, ended: in seconds since 1970; `ended` is None while it runs.
    """

    pid: int
    host: str
    started: float
    ended: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it ended, or its process is gone."""
        return self.ended is not None or _is_gone(self.pid, self.host)

    def began(self, cell: "Cell") -> bool:
        """Whether a cell was begun by it, or after it."""
        return cell.started >= self.started


@dataclass(frozen=True)
class Cell:
    """The record of one cell, `cells/<number>.json` in the sweep's folder.

    Attributes:
        cell: its number, from 0.
        overrides: its own and those that it shares with the others.
        status: `running`, `finished`, `failed`, or `stopped` by a search before its end.
        run: its run directory, relative to the sweep's folder; None before there is one.
        trained: how many stages it trained itself; the others were in the store.
        started, ended: in seconds since 1970.
    """

    cell: int
    overrides: tuple[str, ...]
    status: str
    pid: int
    host: str
    started: float
    ended: float | None = None
    run: str | None = None
    trained: int = 0
    error: str | None = None
    exit_code: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its process has gone without a word; of another machine's that cannot be seen."""
        return self.status == "running" and _is_gone(self.pid, self.host)


def read_sweep(folder: Path) -> tuple[Sweep, Start]:
    """A sweep as its `sweep.json` tells it, and its last start.

    Raises:
        BadInput: the folder is not a sweep's.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise BadInput(f"{folder} is not a sweep's folder: {ABOUT} is not in it. Try outputs/temperature-1a2b3c4d.")
    said = json.loads(path.read_text())
    start = Start(**{field.name: said[field.name] for field in fields(Start)})
    asked = {field.name: said[field.name] for field in fields(Sweep) if field.name != "folder"}
    return Sweep(folder, **asked), start


def read_cells(folder: Path) -> dict[int, Cell]:
    """The records of all cells that were ever begun, by number."""
    cells = [_read(path) for path in (folder / "cells").glob("[0-9]*.json")]
    return {cell.cell: cell for cell in sorted(cells, key=lambda cell: cell.cell)}


def sweep_folder() -> Path | None:
    """The folder of the sweep that this process runs a cell of; None outside sweeps."""
    settings = HydraConfig.get()
    return Path(settings.sweep.dir) if settings.mode == RunMode.MULTIRUN else None


def sweep_group() -> str | None:
    """The name of that folder, under which W&B groups its cells."""
    folder = sweep_folder()
    return folder.name if folder else None


def sweep_question() -> str | None:
    """What the sweep asks; None outside sweeps, and of one that was only typed."""
    folder = sweep_folder()
    return read_sweep(folder)[0].question if folder and (folder / ABOUT).is_file() else None


def begin_cell() -> None:
    """Records that this process begins the cell that Hydra gave it; does nothing outside sweeps."""
    if folder := sweep_folder():
        job = HydraConfig.get()
        (folder / "cells").mkdir(parents=True, exist_ok=True)
        number, overrides = int(job.job.num), tuple(job.overrides.task)
        _record(folder, Cell(number, overrides, "running", os.getpid(), socket.gethostname(), time.time()))


def ended_before() -> int | None:
    """The exit code of this process's cell where an earlier launch of the same start brought it to its end."""
    job = HydraConfig.get()
    if not (folder := sweep_folder()) or not _path(folder, int(job.job.num)).is_file():
        return None
    _, start = read_sweep(folder)
    cell = read_cell(folder, int(job.job.num))
    if not cell.ended or not start.began(cell):
        return None
    return (cell.exit_code or 0) if cell.overrides == tuple(job.overrides.task) else None


def note_cell(**facts: Any) -> None:
    """Adds facts to the record of this process's cell; does nothing outside sweeps."""
    if folder := sweep_folder():
        _record(folder, replace(read_cell(folder, int(HydraConfig.get().job.num)), **facts))


def note_run(directory: Path) -> None:
    """Adds the cell's run directory to its record."""
    if folder := sweep_folder():
        note_cell(run=os.path.relpath(directory, folder))


def end_cell(status: str, exit_code: int, error: str | None = None) -> None:
    """Records how the cell ended."""
    note_cell(status=status, exit_code=exit_code, error=error, ended=time.time())


def read_cell(folder: Path, number: int) -> Cell:
    """The record of one cell."""
    return _read(_path(folder, number))


def _read(path: Path) -> Cell:
    record = json.loads(path.read_text())
    return Cell(**{**record, "overrides": tuple(record["overrides"])})


def _record(folder: Path, cell: Cell) -> None:
    write_text_atomically(_path(folder, cell.cell), json.dumps(asdict(cell), indent=2) + "\n")


def _path(folder: Path, number: int) -> Path:
    return folder / "cells" / f"{number}.json"


def _is_gone(pid: int, host: str) -> bool:
    """Whether a process has ended; of another machine's that cannot be seen."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

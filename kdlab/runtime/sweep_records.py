"""The records in a sweep's folder: its settings, and the state of each cell, written by the process that runs it."""

import json
import os
import shlex
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from kdlab.errors import BadInput
from kdlab.store.atomic import write_text_atomically

ABOUT = "sweep.json"


@dataclass(frozen=True)
class Sweep:
    """The settings of a multirun.

    Attributes:
        folder: of its records; the same command always has the same one.
        name: the chosen option of `sweeps/`, or `sweep`.
        question: the first line of that option; None for a sweep of the command line.
        overrides: as typed.
        varied: the values of each key that varies, as text.
        cells: number of cells; None when the sweeper decides it.
        sweeper: its class.
        launcher: its class.
        is_parallel: whether its cells run in other processes than the one that was started.
        is_search: whether the sweeper is a search: it draws each cell from the results of those before, so cells of
            earlier starts are kept and not run again.
    """

    folder: Path
    name: str
    question: str | None
    overrides: tuple[str, ...]
    varied: Mapping[str, tuple[str, ...]]
    cells: int | None
    sweeper: str
    launcher: str
    is_parallel: bool = False
    is_search: bool = False

    @property
    def command(self) -> str:
        """The command that starts it."""
        return shlex.join(["python", "-m", "kdlab.train", "-m", *self.overrides])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Writes `sweep.json`: the settings, the process that runs them and, after the body, when it ended."""
        start = Start(os.getpid(), socket.gethostname(), time.time())
        self._write(start)
        try:
            yield
        finally:
            self._write(replace(start, ended=time.time()))

    def _write(self, start: "Start") -> None:
        record = {**asdict(self), "command": self.command, **asdict(start)}
        del record["folder"]
        write_text_atomically(self.folder / ABOUT, json.dumps(record, indent=2) + "\n")


@dataclass(frozen=True)
class Start:
    """The last time that a sweep was started.

    Attributes:
        pid, host: the process of the command.
        started, ended: in seconds since 1970; `ended` is None while it runs.
    """

    pid: int
    host: str
    started: float
    ended: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it ended, or its process is gone."""
        return self.ended is not None or is_gone(self.pid, self.host)

    def began(self, cell: "Cell") -> bool:
        """Whether a cell was started at it, or after it."""
        return cell.started >= self.started


@dataclass(frozen=True)
class Cell:
    """The record of one cell, `cells/<number>.json` in the sweep's folder.

    Attributes:
        cell: its number, from 0.
        overrides: its own and those that it shares with the others.
        status: `running`, `finished`, `failed`, or `stopped` by a search before its end.
        run: its run directory, relative to the sweep's folder; None before there is one.
        trained: number of stages that it trained; the others were in the store.
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
        """Whether it is marked as running and its process is gone; always False for a process of another machine."""
        return self.status == "running" and is_gone(self.pid, self.host)


def read_sweep(folder: Path) -> tuple[Sweep, Start]:
    """Reads a sweep and its last start from `sweep.json`.

    Raises:
        BadInput: the folder is not a sweep's.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise BadInput(f"{folder} is not a sweep's folder: {ABOUT} is not in it. Try outputs/temperature-1a2b3c4d.")
    record = json.loads(path.read_text())
    start = Start(**{field.name: record[field.name] for field in fields(Start)})
    settings = {field.name: record[field.name] for field in fields(Sweep) if field.name in record}
    return Sweep(folder, **settings), start


def read_cells(folder: Path) -> dict[int, Cell]:
    """The records of all cells that were ever started, by number."""
    cells = [_read(path) for path in (folder / "cells").glob("[0-9]*.json")]
    return {cell.cell: cell for cell in sorted(cells, key=lambda cell: cell.cell)}


def read_cell(folder: Path, number: int) -> Cell:
    """The record of one cell."""
    return _read(cell_path(folder, number))


def _read(path: Path) -> Cell:
    record = json.loads(path.read_text())
    return Cell(**{**record, "overrides": tuple(record["overrides"])})


def write_cell(folder: Path, cell: Cell) -> None:
    """Writes the record of one cell."""
    write_text_atomically(cell_path(folder, cell.cell), json.dumps(asdict(cell), indent=2) + "\n")


def cell_path(folder: Path, number: int) -> Path:
    """Where the record of a cell is or will be."""
    return folder / "cells" / f"{number}.json"


def is_gone(pid: int, host: str | None) -> bool:
    """Whether a process has ended; always False for a process of another machine."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

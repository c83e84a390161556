"""A sweep's folder half way, for tests of the code that reads it."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from kdlab.runtime.sweep_records import Cell, Sweep

HERE = socket.gethostname()


def sweep(folder: Path, **changes) -> Sweep:
    fields = {
        "folder": folder,
        "name": "temperature",
        "question": "Which temperature?",
        "overrides": ("+sweeps=temperature", "seed=0"),
        "varied": {"loss.temperature": ("2", "4", "8")},
        "cells": 3,
        "sweeper": "BasicSweeper",
        "launcher": "BasicLauncher",
    }
    return Sweep(**{**fields, **changes})


def cell(number: int, status: str = "finished", **changes) -> Cell:
    overrides = (f"loss.temperature={2 ** (number + 1)}", "seed=0")
    ended = None if status == "running" else 110.0
    return Cell(**{**asdict(Cell(number, overrides, status, os.getpid(), HERE, 100.0, ended, trained=1)), **changes})


def write_cells(folder: Path, *cells: Cell) -> None:
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    for one in cells:
        (folder / "cells" / f"{one.cell}.json").write_text(json.dumps(asdict(one)))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid

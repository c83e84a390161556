"""The rows of a measurement on disk, so that an interrupted one continues."""

from __future__ import annotations

import json
from pathlib import Path

from .rounds import Row


class RowLog:
    """A file with a row of JSON a line. Processes that failed are not kept: they are measured again.

    Args:
        file: of an interrupted measurement, or to be made; a last line that was cut off is removed.

    Attributes:
        rows: that it had.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = _read(file)
        file.write_text("".join(map(_line, self.rows)))

    def add(self, row: Row) -> None:
        """Writes a row."""
        if "error" not in row:
            with self.file.open("a") as file:
                file.write(_line(row))


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _read(file: Path) -> list[Row]:
    rows: list[Row] = []
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows

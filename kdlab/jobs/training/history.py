"""The metric history of one stage: one row per epoch, saved in checkpoints and as `metrics.csv`."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from kdlab.store.atomic import write_text_atomically

Row = dict[str, float]


class History(Logger):
    """Rows by epoch. It is the Trainer's logger: values that callbacks log, such as rates, are added to its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._extra: Row = {}

    @property
    def name(self) -> str:
        return "history"

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._extra.update({name: float(value) for name, value in metrics.items()})

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: settings are in the stage's `config.yaml`."""

    def add(self, row: Row) -> Row:
        """Adds a row, with the values that callbacks logged since the last one, and returns it."""
        self.rows.append({**self._extra, **row})
        self._extra = {}
        return self.rows[-1]


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV; a missing value is an empty field."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """Reads rows that `write_history` wrote; a row has no entry for an empty field."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

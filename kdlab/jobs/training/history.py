"""The metric history of one stage: a row an epoch, kept in the checkpoint and written out whole."""

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
    """Rows by epoch. It stands in Lightning's place of a logger: what callbacks log, such as rates, joins its rows."""

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
        """Settings are in the stage's `config.yaml`."""

    def add(self, row: Row) -> Row:
        """Completes a row with what callbacks logged since the last one, and keeps it."""
        self.rows.append({**self._extra, **row})
        self._extra = {}
        return self.rows[-1]


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV; a column that a row lacks is left empty."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """The rows that `write_history` left; a column that a row lacks is left out."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

"""How far a sweep is: cells done, running, failed, lost, and the time that is left."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kdlab.reporting.render.magnitude import duration
from kdlab.runtime.sweep_records import Cell, read_cells


@dataclass(frozen=True)
class Progress:
    """The cells of one start of a sweep.

    Attributes:
        cells: those begun since this start, by number.
        expected: number of cells; None when only the sweeper knows it.
    """

    cells: tuple[Cell, ...]
    expected: int | None

    @classmethod
    def of(cls, folder: Path, expected: int | None, is_new: Callable[[Cell], bool]) -> "Progress":
        """Reads the sweep's records.

        Args:
            folder: the sweep's.
            expected: number of cells.
            is_new: whether a record belongs to this start; an older one belongs to an earlier start.
        """
        return cls(tuple(cell for cell in read_cells(folder).values() if is_new(cell)), expected)

    @property
    def ended(self) -> tuple[Cell, ...]:
        """Cells that ended: finished, failed or stopped."""
        return tuple(cell for cell in self.cells if cell.ended)

    @property
    def running(self) -> tuple[Cell, ...]:
        """Cells whose process still runs."""
        return tuple(cell for cell in self.cells if not cell.ended and not cell.is_lost)

    @property
    def lost(self) -> tuple[Cell, ...]:
        """Cells whose process is gone."""
        return tuple(cell for cell in self.cells if not cell.ended and cell.is_lost)

    def with_status(self, status: str) -> tuple[Cell, ...]:
        """The cells that are `finished`, `failed` or `stopped`."""
        return tuple(cell for cell in self.cells if cell.status == status)

    @property
    def missing(self) -> int:
        """How many cells have not ended."""
        return max((self.expected or len(self.cells)) - len(self.ended), 0)

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the median cell that trained something; None before there is one."""
        took = [cell.ended - cell.started for cell in self.ended if cell.ended and cell.trained]
        if not took or self.expected is None:
            return None
        return median(took) * self.missing / max(len(self.running), 1)

    def __str__(self) -> str:
        """Such as `7 of 12 done, 2 running, 1 failed, about 3 min left`."""
        total = f" of {self.expected}" if self.expected else ""
        parts = [f"{len(self.ended)}{total} done", *_counted(self.running, "running")]
        parts += [*_counted(self.with_status("failed"), "failed"), *_counted(self.lost, "lost")]
        left = self.seconds_left
        return ", ".join([*parts, f"about {duration(left)} left"] if left and self.missing else parts)


def _counted(cells: Iterable[Cell], what: str) -> list[str]:
    count = len(tuple(cells))
    return [f"{count} {what}"] if count else []

"""The progress of a running job: a bar on a terminal, a line now and then elsewhere and in the log file."""

import logging
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kdlab.jobs.events import Progress
from kdlab.reporting.render.magnitude import duration

SECONDS_BETWEEN_LINES = 30.0
SECONDS_WITHIN_AN_EPOCH = 300.0
WIDE = 110  # columns that a bar of full length needs, with what stands beside it


def log(text: str) -> None:
    """Logs a line of the screen, without the spaces that align it."""
    logging.getLogger("kdlab").info("%s", " ".join(text.split()))


def has_bars(console: Console) -> bool:
    """On a terminal, and in a notebook with ipywidgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class Bar:
    """The progress bar of one job, removed when the job ends.

    Args:
        console: a terminal.
        name: of the job.
    """

    def __init__(self, console: Console, name: str) -> None:
        columns = (
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=24 if console.width >= WIDE else 8),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._progress = rich.progress.Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(name, total=None, text="")
        self._progress.start()

    def show(self, event: Progress) -> None:
        """Updates the bar and the figures beside it."""
        self._progress.update(self._task, total=event.total, completed=event.done)
        if event.text:
            self._progress.update(self._task, text=event.text)

    def close(self) -> None:
        """Removes the bar."""
        self._progress.stop()


class Lines:
    """A line for each epoch, at most every 30 seconds, and every five minutes within a long one; also logged.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._job, self._began, self._done_before, self._last = "", 0.0, 0, 0.0

    def line(self, event: Progress) -> str:
        """The line of an event; empty for most, and for the rows of earlier attempts, which have no total."""
        if event.total is None:
            return ""
        now = self._clock()
        if self._job != event.job.fingerprint:
            self._job, self._began, self._done_before, self._last = event.job.fingerprint, now, event.done, now
        if now - self._last < (SECONDS_BETWEEN_LINES if event.text else SECONDS_WITHIN_AN_EPOCH):
            return ""
        self._last = now
        text = event.text or f"step {event.done:,} of {event.total:,}"
        left = self._left(event.done, event.total, now)
        line = "  ".join(part for part in (f"{event.job.name:<10} {text}", _rate(event.figures), left) if part)
        log(line)
        return f"  {line}"

    def _left(self, done: int, total: int, now: float) -> str:
        since = done - self._done_before
        return f"{duration((now - self._began) / since * (total - done))} left" if since and done < total else ""


def _rate(figures: Mapping[str, float]) -> str:
    seconds = figures.get("seconds")
    return f"{figures['samples'] / seconds:,.0f} samples/s" if seconds and "samples" in figures else ""

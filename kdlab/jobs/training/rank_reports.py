"""The progress of a stage with several ranks: rank 0 writes it to a pipe, and the parent reads it."""

import json
import os
import time

from kdlab.jobs.training.checkpointing import Report, no_report
from kdlab.jobs.training.history import Row

VARIABLE = "KDLAB_REPORTS"  # in the environment of rank 0: the file descriptor that it writes to
SECONDS_BETWEEN_STEPS = 0.2


class RankReports:
    """The parent's end of the pipe.

    Args:
        report: is called with what rank 0 reports.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._begun = b""  # a line of which the rest is still to come

    def read(self) -> None:
        """Passes on all that has arrived."""
        try:
            arrived = os.read(self._reader, 1 << 20)
        except BlockingIOError:
            return
        *lines, self._begun = (self._begun + arrived).split(b"\n")
        for line in lines:
            self._report(*json.loads(line))

    def close(self) -> None:
        """Closes both ends."""
        os.close(self._reader)
        os.close(self.writer)


def report_to_parent() -> Report:
    """What a rank reports to: the pipe for rank 0, nothing for the others."""
    if VARIABLE not in os.environ:
        return no_report
    pipe = os.fdopen(int(os.environ[VARIABLE]), "w", buffering=1)
    last = 0.0

    def report(done: int, total: int | None, row: Row) -> None:
        nonlocal last
        now = time.monotonic()
        if row or now - last > SECONDS_BETWEEN_STEPS:
            pipe.write(f"{json.dumps([done, total, row])}\n")
            last = now

    return report

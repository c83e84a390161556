"""Ctrl-C and SIGTERM: what a job has reached is saved before the command ends."""

import signal
import threading
from types import TracebackType
from typing import Any

from kdlab.errors import Interrupted
from kdlab.jobs.events import Event, Failed, Finished, Progress, Started

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignal:
    """A listener that ends a run when the user asks for it; a context, in the main thread, within which it does.

    While a job reports its progress, Ctrl-C (or SIGTERM) is answered at its next report, which saves its state. A
    second one, or one that no job would notice, has its usual effect at once.
    """

    def __init__(self) -> None:
        self._asked = self._reporting = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there alone
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def __call__(self, event: Event) -> None:
        """Notes whether a job reports, and ends it if the user has asked.

        Raises:
            Interrupted: the user has asked to stop.
        """
        if isinstance(event, Started | Finished | Failed):
            self._reporting = False
        elif isinstance(event, Progress):
            self._reporting = True
        if self._asked and not isinstance(event, Failed):
            raise Interrupted("what was reached is saved; the same command continues it")

    def _on_signal(self, number: int, frame: object) -> None:
        if self._asked or not self._reporting:
            signal.signal(number, self._handlers[number])
            signal.raise_signal(number)
        self._asked = True

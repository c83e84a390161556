"""Ctrl-C and SIGTERM: the state of a job is saved before the command ends."""

import signal
import threading
from types import TracebackType
from typing import Any

from kdlab.errors import Interrupted
from kdlab.jobs.events import Event, Failed, Finished, Progress, Started

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignal:
    """A listener that ends a run on Ctrl-C or SIGTERM; also the context, in the main thread, that handles the signals.

    While a job reports progress, the first signal ends it at its next report, after its state is saved. A second one,
    or one while no job reports, has its usual effect at once.
    """

    def __init__(self) -> None:
        self._stop_requested = self._reporting = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def __call__(self, event: Event) -> None:
        """Records whether a job reports progress, and ends it after a signal.

        Raises:
            Interrupted: the user has asked to stop.
        """
        if isinstance(event, Started | Finished | Failed):
            self._reporting = False
        elif isinstance(event, Progress):
            self._reporting = True
        if self._stop_requested and not isinstance(event, Failed):
            raise Interrupted("what was reached is saved; the same command continues it")

    def _on_signal(self, number: int, frame: object) -> None:
        if self._stop_requested or not self._reporting:
            signal.signal(number, self._handlers[number])
            signal.raise_signal(number)
        self._stop_requested = True

"""Python logging: into the run's log file what happens and every warning, on the screen only kdlab's own warnings."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("lightning", "lightning.pytorch", "lightning.fabric")


def quiet_screen() -> None:
    """Sends warnings of libraries to the log file only; safe to call again for every cell of a sweep."""
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module="lightning")
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)  # below it are devices, tips and the number of epochs
    own = logging.getLogger("kdlab")
    if not own.handlers:
        own.addHandler(_ToStderr(logging.WARNING))
        own.handlers[0].setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().setLevel(logging.INFO)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Sends warnings of libraries to the root logger, as other modules do; restored after it."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [(one, one.handlers[:], one.propagate, one.level) for one in loggers]
    for one in loggers:
        one.handlers, one.propagate = [], True
        one.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for one, handlers, propagate, level in before:
            one.handlers, one.propagate = handlers, propagate
            one.setLevel(level)


class _ToStderr(logging.Handler):
    """Writes to the current `sys.stderr`: in a worker of a sweep it is a file that changes with the cell."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)

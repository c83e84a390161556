"""Python logging: everything into the run's log file, only kdlab's own warnings on the screen."""

import logging
import sys
import warnings


def quiet_screen() -> None:
    """Sends the messages of libraries to the log file only; safe to call again for every cell of a sweep."""
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module="lightning")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    own = logging.getLogger("kdlab")
    if not own.handlers:
        own.addHandler(_ToStderr(logging.WARNING))
        own.handlers[0].setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().setLevel(logging.INFO)


class _ToStderr(logging.Handler):
    """Writes to the current `sys.stderr`: in a worker of a sweep it is a file that changes with the cell."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)

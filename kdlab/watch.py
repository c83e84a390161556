"""`python -m kdlab.watch SWEEP`: how far a running sweep is, from another terminal."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kdlab.errors import BadInput
from kdlab.runtime.sweep_records import Start, read_sweep
from kdlab.sweeps.cli import explained
from kdlab.sweeps.screen import SweepView

USAGE = "usage: python -m kdlab.watch outputs/temperature-1a2b3c4d"


def watch(folder: Path) -> int:
    """Shows each cell of the sweep's last start as it ends, and the progress, until the sweep is over.

    Raises:
        BadInput: the folder is not a sweep's.
    """
    sweep, start = read_sweep(folder)
    view = SweepView(sweep, start.began)
    view.opening()
    view.follow(lambda seconds: _over(folder, start, seconds))
    view.closing(view.progress())
    return 0


def main() -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        print(f"{USAGE}\n\nShows the cells of a sweep as they end, and how far it is.")
        return 0
    return explained(lambda: watch(_folder(arguments)))


def _folder(arguments: Sequence[str]) -> Path:
    if len(arguments) != 1:
        raise BadInput(f"watch takes one folder, that of a sweep; got {len(arguments)}.\n{USAGE}")
    return Path(arguments[0])


def _over(folder: Path, start: Start, seconds: float) -> bool:
    if read_sweep(folder)[1].is_over or start.is_over:
        return True
    time.sleep(seconds)
    return False


if __name__ == "__main__":
    sys.exit(main())

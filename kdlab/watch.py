"""`python -m kdlab.watch SWEEP`: how far a running sweep is, from another terminal."""

import time
from pathlib import Path

from kdlab.config.command_line import CommandLine
from kdlab.jobs.training.process import run_and_leave
from kdlab.runtime.sweep_records import Start, read_sweep
from kdlab.sweeps.cli import run_command
from kdlab.sweeps.screen import SweepView

EXAMPLES = """\
  python -m kdlab.watch outputs/temperature-1a2b3c4d
  python -m kdlab.watch outputs/sweep-1a2b3c4d"""


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
    return run_command(lambda: watch(_command_line().parse_args().folder))


def _command_line() -> CommandLine:
    line = CommandLine(
        "watch",
        "Shows each cell of a running sweep as it ends, and how far the sweep is.",
        EXAMPLES,
        "Ctrl-C ends the watching, not the sweep. More about sweeps: docs/sweeps.md.",
    )
    line.add_argument("folder", type=Path, metavar="SWEEP", help="the folder of a sweep, which its first line names")
    return line


def _over(folder: Path, start: Start, seconds: float) -> bool:
    if read_sweep(folder)[1].is_over or start.is_over:
        return True
    time.sleep(seconds)
    return False


if __name__ == "__main__":
    run_and_leave(main)

"""`python -m kdlab.report DIR…`: what any mix of runs and sweeps found, as a page, tables and one sentence."""

import re
from argparse import Namespace
from pathlib import Path

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput
from kdlab.jobs.training.process import run_and_leave
from kdlab.sweeps.cli import run_command

EXAMPLES = """\
  python -m kdlab.report outputs/temperature-1a2b3c4d
  python -m kdlab.report outputs                            all that is there
  python -m kdlab.report outputs/response-* --out outputs/mine
  python -m kdlab.report outputs/temperature-1a2b3c4d --wandb team/kdlab"""


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _reported(_command_line().parse_intermixed_args()))


def _reported(args: Namespace) -> int:
    check_destination(args.wandb)
    from kdlab.reporting.render.summary_screen import show  # after what may be wrong with the arguments
    from kdlab.reporting.report import report

    evidence, page = report(args.folders, args.out)
    show(evidence, page)
    if args.wandb:
        from kdlab.tracking.report import publish_evidence

        address = publish_evidence(evidence, list(map(Path, args.folders)), args.wandb, page.parent)
        print(f"W&B report: {address}")
    return 0


def check_destination(destination: str | None) -> None:
    if destination is not None and not re.fullmatch(r"([\w-]+/)?[^/\\#?%:]{1,128}", destination):
        raise BadInput(
            f"--wandb takes [ENTITY/]PROJECT, where the runs are, got {destination!r}. For example: --wandb team/kdlab"
        )


def _command_line() -> CommandLine:
    line = CommandLine(
        "report",
        "Reads runs and sweeps, and writes what they found: a page, tables and pictures.",
        EXAMPLES,
        "What is in a report: docs/reports.md.",
    )
    line.add_argument("folders", nargs="+", metavar="DIR", help="a run, a sweep, or a folder that holds any of them")
    line.add_argument("--out", metavar="DIR", help="where the report goes (default: report/ in the first DIR)")
    line.add_argument("--wandb", metavar="[ENTITY/]PROJECT", help="publish a W&B report, in the project of the runs")
    return line


if __name__ == "__main__":
    run_and_leave(main)

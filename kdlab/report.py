"""`python -m kdlab.report DIR…`: what any mix of runs and sweeps found, as a page, tables and one sentence."""

import re
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from kdlab.errors import BadInput
from kdlab.reporting.render.summary_screen import show
from kdlab.reporting.report import report
from kdlab.sweeps.cli import explained

EXAMPLES = """
python -m kdlab.report outputs/temperature-1a2b3c4d            one sweep; the report goes into its folder
python -m kdlab.report outputs                                 every run and sweep there
python -m kdlab.report outputs/response-* --out outputs/mine   some runs, a folder for the report
python -m kdlab.report outputs/temperature-1a2b3c4d --wandb team/kdlab"""


def main() -> int:
    """The command; returns its exit code."""
    args = _parser().parse_args()
    return explained(lambda: _reported(args))


def _reported(args: Namespace) -> int:
    _check_destination(args.wandb)
    evidence, page = report(args.folders, args.out)
    show(evidence, page)
    if args.wandb:
        from kdlab.tracking.report import publish_evidence

        print(f"W&B report: {publish_evidence(evidence, list(map(Path, args.folders)), args.wandb)}")
    return 0


def _check_destination(destination: str | None) -> None:
    if destination is not None and not re.fullmatch(r"[\w-]+/[^/\\#?%:]{1,128}", destination):
        raise BadInput(
            f"--wandb takes ENTITY/PROJECT, where the runs are, got {destination!r}. For example: --wandb team/kdlab"
        )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m kdlab.report",
        description="Reads runs and sweeps, and writes what they found.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="a run, a sweep, or a folder that holds any of them")
    parser.add_argument("--out", metavar="DIR", help="where the report goes (default: report/ in the first DIR)")
    parser.add_argument(
        "--wandb", metavar="ENTITY/PROJECT", help="publish a W&B report too, in the project of the runs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`python -m kdlab.doctor`: the installation, the machine and the folders of a run, and what would break it."""

import json
import sys
from collections.abc import Sequence

from kdlab.diagnosis.packages import absent
from kdlab.jobs.training.process import run_and_leave

USAGE = """\
usage: python -m kdlab.doctor [--json] [group=option …] [key=value …]

Shows versions, processors, threads, folders, disk space and W&B of this
installation, and what would break a run, with the fix. Nothing is trained or
written, and no network is used.

arguments:
  group=option, key=value   as for python -m kdlab.train, whose folders and
                            threads are shown (default: its default)
  --json                    the same as JSON, for a bug report
  --config-dir FOLDER       further options of your own
  -h, --help                show this page and exit

examples:
  python -m kdlab.doctor
  python -m kdlab.doctor paths.outputs=outputs --json

Exit code 0: nothing would break a run; 1: something would. More is in
docs/reference.md."""


def doctor(arguments: Sequence[str]) -> int:
    """Prints the diagnosis for a command line of the train command; returns the exit code.

    Raises:
        BadInput: the command line is wrong.
    """
    from kdlab.config.command_line import hydra_command_line
    from kdlab.config.compose import compose_config
    from kdlab.diagnosis.diagnose import as_json, diagnose, problems
    from kdlab.diagnosis.table import show

    line = hydra_command_line("doctor")
    line.add_argument("--json", action="store_true")
    args = line.parse_intermixed_args(arguments)
    sections = diagnose(compose_config(args.overrides, args.config_dir, multirun=args.multirun))
    if args.json:
        print(json.dumps(as_json(sections), indent=2, ensure_ascii=False))
    else:
        show(sections)
    return 1 if problems(sections) else 0


def main() -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    if missing := absent():  # without which nothing else can be imported
        print(f"kdlab needs {', '.join(missing)}, and {sys.executable} does not have them.", file=sys.stderr)
        print("Use the Python that kdlab is installed in, or install it: python -m pip install -e .", file=sys.stderr)
        return 1
    from kdlab.sweeps.cli import run_command

    return run_command(lambda: doctor(arguments))


if __name__ == "__main__":
    run_and_leave(main)

"""`kdlab COMMAND …`, the same as `python -m kdlab.COMMAND …`."""

import importlib
import sys
from difflib import get_close_matches

COMMANDS = {
    "train": "train an experiment: teacher, baseline, student, and what distillation gained",
    "cache": "compute the teachers' outputs of a run ahead of time, so that every epoch, run and cell only reads them",
    "watch": "show how far a running sweep is",
    "evaluate": "evaluate the network of a finished run on any data",
    "report": "report on any mix of runs and sweeps, as a page, tables and one sentence",
    "benchmark": "measure what a step costs, beside a plain loop",
    "doctor": "show versions, processors, folders and disk space, and what would break a run",
}
USAGE = "usage: kdlab COMMAND [--help] [key=value …]\n\n" + "\n".join(
    f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items()
)


def main() -> int:
    """Runs the module of the command with the rest of the command line."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("--help", "-h"):
        print(USAGE)
        return 0
    if command not in COMMANDS:
        close = get_close_matches(command, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        print(f"error: {command} is not a command of kdlab.{hint}\n\n{USAGE}", file=sys.stderr)
        return 2
    del sys.argv[1]
    return int(importlib.import_module(f"kdlab.{command}").main())


if __name__ == "__main__":
    sys.exit(main())

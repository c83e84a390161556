"""`kdlab COMMAND …`, the same as `python -m kdlab.COMMAND …`."""

import importlib
import sys
from difflib import get_close_matches

COMMANDS = {
    "train": "plan and train an experiment, and say what distillation gained",
    "cache": "ask a run's teachers ahead of time, so that every epoch, run and cell only reads what they say",
    "watch": "show how far a running sweep is",
    "evaluate": "evaluate the network of a finished run on any data",
    "report": "say what any mix of runs and sweeps found, as a page, tables and one sentence",
    "benchmark": "say what a step costs, beside a plain loop",
}
USAGE = "usage: kdlab COMMAND [--help] [key=value …]\n\n" + "\n".join(
    f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items()
)


def main() -> int:
    """Hands the rest of the command line to the command's module."""
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

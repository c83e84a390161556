"""`kdlab COMMAND …`, the same as `python -m kdlab.COMMAND …`."""

import importlib
import sys

COMMANDS = {
    "train": "plan and train an experiment, and say what distillation gained",
    "evaluate": "evaluate the network of a finished run on any data",
}


def main() -> int:
    """Hands the rest of the command line to the command's module."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        command = sys.argv.pop(1)
        module = importlib.import_module(f"kdlab.{command}")
        return int(module.main())
    print("usage: kdlab COMMAND [--help] [key=value …]\n")
    for name, purpose in COMMANDS.items():
        print(f"  {name:<10} {purpose}")
    return 0 if sys.argv[1:] in ([], ["--help"], ["-h"]) else 2


if __name__ == "__main__":
    sys.exit(main())

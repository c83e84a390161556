"""`kdlab COMMAND …`, the same as `python -m kdlab.COMMAND …`."""

import importlib
import os
import sys
from difflib import get_close_matches
from typing import NoReturn

from kdlab.jobs.training.process import run_and_leave
from kdlab.settings.version import VERSION

COMMANDS = {
    "train": "train a teacher, a baseline and a student: what distillation gained",
    "cache": "compute the teachers' outputs ahead of time",
    "watch": "show how far a running sweep is",
    "evaluate": "evaluate the network of a finished run on any data",
    "export": "turn a finished run into ONNX and INT8 files, proved and measured",
    "compare": "compare pruning, INT8 and distillation: size, speed, cost",
    "serve": "answer requests over HTTP with what an export recommends",
    "report": "report on runs and sweeps: a page, tables, one sentence",
    "benchmark": "measure what a step costs, beside a plain loop",
    "doctor": "show versions, processors and folders, and what would break a run",
}
TAKE_OVERRIDES = ("train", "cache", "doctor")
LIST = "\n".join(f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items())
USAGE = f"""\
usage: kdlab COMMAND [--help] [key=value …]

A knowledge-distillation lab. kdlab COMMAND is python -m kdlab.COMMAND.

commands:
{LIST}

options:
  -h, --help  show this page and exit; after a command: that command's page
  --version   show the version and exit

examples:
  kdlab train                          on real digits, a minute on a CPU
  kdlab train --help                   every option and where to read on
  kdlab train loss.temperature=8

Start with README.md; docs/ has the guide."""


def main() -> int:
    """Runs the module of the command with the rest of the command line."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("--help", "-h"):
        print(USAGE)
        return 0
    if command == "--version":
        print(f"kdlab {VERSION}")
        return 0
    if command in ("-sc", "--shell-completion"):
        return _completed()
    if command not in COMMANDS:
        close = get_close_matches(command, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        print(f"error: {command} is not a command of kdlab.{hint}\n\n{USAGE}", file=sys.stderr)
        return 2
    del sys.argv[1]
    return int(importlib.import_module(f"kdlab.{command}").main())


def script() -> NoReturn:
    """The `kdlab` script."""
    run_and_leave(main)


def _completed() -> int:
    """Completes the name of a command itself; overrides, and what the shell needs to install, are Hydra's."""
    line = os.environ.get("COMP_LINE", "")
    words = f"{line}|".split()  # the bar marks the word that is being typed
    if len(words) == 2:
        print(" ".join(COMMANDS))
    if line and (len(words) == 2 or words[1] not in TAKE_OVERRIDES):
        return 0
    if line:
        os.environ["COMP_LINE"] = line.split(maxsplit=1)[1]
    return int(importlib.import_module("kdlab.train").main())


if __name__ == "__main__":
    script()

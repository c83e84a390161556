"""The command lines: a mistake is one message, and every page of help has the same parts."""

import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from difflib import get_close_matches
from typing import Any, NoReturn

from kdlab.errors import BadInput
from kdlab.settings.version import VERSION


class CommandLine(ArgumentParser):
    """The parser of one command.

    Args:
        command: its name, such as `report`.
        purpose: what it does, in a sentence or two.
        examples: lines to copy.
        more: further lines of its help, such as where to read on.
        options: of `argparse.ArgumentParser`.
    """

    def __init__(self, command: str, purpose: str = "", examples: str = "", more: str = "", **options: Any) -> None:
        epilog = f"examples:\n{examples}\n\n{more}"
        described = {"description": purpose, "epilog": epilog, "formatter_class": RawDescriptionHelpFormatter}
        super().__init__(prog=f"python -m kdlab.{command}", **described, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """A wrong argument is bad input like any other."""
        hint = f"{self.prog} --help shows all of them."
        if unknown := re.match(r"unrecognized arguments: (\S+)", message):
            flag = unknown[1].partition("=")[0]
            shown = [name for name, action in self._option_string_actions.items() if action.help != SUPPRESS]
            close = get_close_matches(flag, shown, n=1)
            raise BadInput(
                f"{flag} is not an argument of this command. {f'Did you mean {close[0]}?' if close else hint}"
            )
        raise BadInput(f"{message}. {hint}")


def hydra_command_line(command: str) -> CommandLine:
    """The parser of a command that takes overrides and Hydra's flags."""
    from hydra._internal.utils import get_args_parser

    line = CommandLine(command, parents=[get_args_parser()], add_help=False, conflict_handler="resolve")
    line.add_argument("--version", action="version", version=f"kdlab {VERSION}")
    return line


def whole_number(text: str) -> int:
    """The `type` of an argument that is one."""
    try:
        return int(text)
    except ValueError as error:
        raise ArgumentTypeError(f"must be a whole number, got {text}") from error

"""Printing on a terminal and into a file."""

import os
import re
from typing import Any

from rich.console import Console
from rich.text import Text

FILE_WIDTH = 200  # of tables, which take what they need of it


class Printer(Console):
    """Wraps sentences at words on a terminal, which would break them anywhere; a file has each on one line.

    A path that is longer than a line stays whole, so that it can be copied.

    Args:
        options: of `rich.console.Console`; without `file`, the standard output.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, **options})
        if not (self.is_terminal or "width" in options or os.environ.get("COLUMNS")):
            self.width = FILE_WIDTH

    def print(self, *objects: Any, markup: bool | None = None, emoji: bool | None = None, **options: Any) -> None:
        """As rich prints, but for the wrapping."""
        if self.is_terminal:
            texts = [self.render_str(it, markup=markup, emoji=emoji) if isinstance(it, str) else it for it in objects]
            objects = tuple(self._wrapped(one) if isinstance(one, Text) else one for one in texts)
        super().print(*objects, markup=markup, emoji=emoji, **{"soft_wrap": True, **options})

    def _wrapped(self, text: Text) -> Text:
        lines = text.split("\n", allow_blank=True)
        parts = [part for line in lines for part in line.divide(_ends(line.plain, self.width))]
        for part in parts:
            part.rstrip()
        return Text("\n").join(parts)


def _ends(line: str, width: int) -> list[int]:
    """Where the parts of a line end, but the last."""
    ends = [0]
    for word in re.finditer(r"\S+", line):
        begins_part = not line[ends[-1] : word.start()].strip()
        if word.end() - ends[-1] > width and not begins_part:
            ends.append(word.start())
    return ends[1:]

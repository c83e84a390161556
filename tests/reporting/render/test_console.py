import io
import textwrap

import pytest
from rich.table import Table

from kdlab.reporting.render.console import FILE_WIDTH, Printer

SENTENCE = "The baseline is no better than the majority class: it has learned nothing yet. " * 3 + "Train it longer."
PATH = "/data/" + "a-long-name-without-a-space/" * 4


def printed(text, **options):
    console = Printer(file=io.StringIO(), color_system=None, **options)
    console.print(text)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_gets_lines_that_end_with_a_word(width):
    assert printed(SENTENCE, width=width, force_terminal=True) == textwrap.wrap(SENTENCE, width)


def test_a_path_that_is_longer_than_a_line_stays_whole():
    assert printed(f"its log is {PATH} now", width=40, force_terminal=True) == ["its log is", PATH, "now"]
    assert printed(f"{PATH} is its log", width=40, force_terminal=True) == [PATH, "is its log"]


def test_a_file_gets_one_line():
    assert printed(f"{SENTENCE}{PATH}", width=40) == [f"{SENTENCE}{PATH}"]


@pytest.mark.parametrize(("columns", "width"), [(None, FILE_WIDTH), ("80", 80)])
def test_a_file_is_wide_unless_the_environment_sets_its_width(columns, width, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    table = Table(box=None, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_row("x" * (FILE_WIDTH + 1))
    assert max(map(len, printed(table))) == width

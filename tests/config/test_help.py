"""The page of --help."""

import pytest

from kdlab.config.folders import CONF, ROOT
from kdlab.config.help import WIDTH, help_page
from kdlab.settings.old_names import without_old_names


def test_every_option_of_every_group_is_on_it():
    page = help_page()
    for folder in (*CONF.iterdir(), ROOT / "sweeps"):
        names = [path.stem for path in folder.glob("*.yaml")] if folder.is_dir() else []
        names = without_old_names(folder.name, names)
        assert [name for name in names if f"{name}" not in page.replace(",", " ").split()] == [], folder


@pytest.mark.parametrize(("width", "most"), [(80, 75), (WIDTH, 61)])
def test_it_fits_on_a_screen(width, most):
    lines = help_page(width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < most
    assert "$" not in help_page(width)


def test_it_is_as_wide_as_the_terminal_up_to_a_limit(monkeypatch):
    for columns, width in ((80, 80), (100, 100), (200, WIDTH)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert help_page() == help_page(width)


def test_no_word_and_no_command_is_broken():
    wide, narrow = help_page(1000), help_page(80)
    assert narrow.split() == wide.split()
    commands = [line for line in wide.splitlines() if "python -m" in line]
    assert [line for line in commands if line not in narrow.splitlines()] == []


def test_a_wrapped_line_goes_on_in_its_column():
    lines = help_page(80).splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("  --cfg job")]
    assert lines[first + 1].index(lines[first + 1].strip()) == lines[first].index("every key")


def test_it_shows_how_to_begin_and_where_to_read_on():
    page = help_page()
    assert page.count("\n  python -m kdlab.train") == 5
    assert all(text in page for text in ("usage: ", "README.md", "--cfg job", "--config-dir"))

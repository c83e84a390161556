"""The page of --help."""

from kdlab.config.folders import CONF, ROOT
from kdlab.config.help import INDENT, WIDTH, help_page
from kdlab.settings.old_names import without_old_names


def test_every_option_of_every_group_is_on_it():
    page = help_page()
    for folder in (*CONF.iterdir(), ROOT / "sweeps"):
        names = [path.stem for path in folder.glob("*.yaml")] if folder.is_dir() else []
        names = without_old_names(folder.name, names)
        assert [name for name in names if f"{name}" not in page.replace(",", " ").split()] == [], folder


def test_it_fits_on_a_screen():
    lines = help_page().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < 60
    assert "$" not in help_page()


def test_only_lists_of_options_are_wrapped():
    wrapped = [line for line in help_page().splitlines() if line.startswith(" " * INDENT)]
    assert all("," in line or " " not in line.strip() for line in wrapped), wrapped


def test_it_shows_how_to_begin_and_where_to_read_on():
    page = help_page()
    assert page.count("\n  python -m kdlab.train") == 5
    assert all(text in page for text in ("usage: ", "README.md", "--cfg job", "--config-dir"))

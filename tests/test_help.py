"""The page that each command prints for --help, and what it says to a wrong argument."""

import contextlib
import importlib
import io
import re
import shlex
import sys

import pytest

from kdlab import __main__
from kdlab.config.command_line import hydra_command_line
from kdlab.config.compose import checked_overrides
from kdlab.settings.version import VERSION

COMMANDS = list(__main__.COMMANDS)
TAKES_OVERRIDES = ("train", "cache", "doctor")
PARTS = re.compile(r"usage: .*\n\n.*^(positional )?arguments:\n.*^examples:\n", flags=re.MULTILINE | re.DOTALL)


def outcome(monkeypatch, module, *arguments):
    """The exit code of a command, whether it returns it or ends the process."""
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        return importlib.import_module(module).main()
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def pages():
    """By command, at 80 columns."""
    found = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("COLUMNS", "80")
        for name in COMMANDS:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert outcome(monkeypatch, f"kdlab.{name}", "--help") == 0, name
            found[name] = printed.getvalue()
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_80_columns(name, pages):
    assert [line for line in pages[name].splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_a_page_says_what_it_does_what_it_takes_how_it_looks_and_where_to_read_on(name, pages):
    assert pages[name].startswith(f"usage: python -m kdlab.{name} ")
    assert PARTS.match(pages[name])
    assert len(examples(pages[name])) >= 2
    assert re.search(r"docs/\w+\.md", pages[name].splitlines()[-1])
    assert "default" in pages[name] or name == "watch"


def examples(page):
    """The command lines of a page, without what is said beside them."""
    return [line.strip().partition("   ")[0] for line in page.splitlines() if line.startswith("  python -m kdlab.")]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in TAKES_OVERRIDES])
def test_the_examples_of_a_page_are_understood(name, pages):
    line = importlib.import_module(f"kdlab.{name}")._command_line()
    for example in examples(pages[name]):
        args = line.parse_intermixed_args(shlex.split(example)[3:])
        assert all("=" in override for override in getattr(args, "overrides", ()))


@pytest.mark.parametrize("name", TAKES_OVERRIDES)
def test_the_examples_of_a_page_compose(name, pages):
    line = hydra_command_line(name)
    line.add_argument("--json", action="store_true")
    for example in examples(pages[name]):
        args = line.parse_intermixed_args(shlex.split(example)[3:])
        assert checked_overrides(args.overrides, multirun=args.multirun).config


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_flag_is_an_error_without_a_traceback(name, monkeypatch, capsys):
    arguments = ["outputs"] if name in ("watch", "evaluate", "report", "export", "compare", "serve") else []
    assert outcome(monkeypatch, f"kdlab.{name}", *arguments, "--nonsense") == 2
    assert capsys.readouterr().err == (
        f"\nerror: --nonsense is not an argument of this command. python -m kdlab.{name} --help shows all of them.\n"
    )


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [("train", "--multi-run", "--multirun"), ("benchmark", "--reps=3", "--repeats"), ("doctor", "--jsn", "--json")],
)
def test_a_misspelt_flag_names_the_closest(command, typed, meant, monkeypatch, capsys):
    assert outcome(monkeypatch, f"kdlab.{command}", typed) == 2
    assert capsys.readouterr().err.endswith(f" is not an argument of this command. Did you mean {meant}?\n")


@pytest.mark.parametrize(("name", "what"), [("watch", "SWEEP"), ("report", "DIR"), ("evaluate", "RUN")])
def test_an_argument_that_is_missing_is_named(name, what, monkeypatch, capsys):
    assert outcome(monkeypatch, f"kdlab.{name}") == 2
    assert f"error: the following arguments are required: {what}. " in capsys.readouterr().err


def test_kdlab_lists_its_commands_and_has_a_version(monkeypatch, capsys):
    assert outcome(monkeypatch, "kdlab.__main__") == outcome(monkeypatch, "kdlab.__main__", "--help") == 0
    first, second = capsys.readouterr().out.split("usage: ")[1:]
    assert first == second and max(map(len, first.splitlines())) <= 80
    assert all(f"\n  {name} " in first for name in COMMANDS)
    for module in ("kdlab.__main__", "kdlab.train", "kdlab.cache"):
        assert outcome(monkeypatch, module, "--version") == 0
        assert capsys.readouterr().out == f"kdlab {VERSION}\n"


def test_the_examples_of_kdlab_name_commands():
    shown = re.findall(r"^  kdlab (\w+) ", __main__.USAGE, flags=re.MULTILINE)
    assert len(shown) >= 2 and set(shown) <= set(COMMANDS)

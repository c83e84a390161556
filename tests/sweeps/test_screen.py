import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from kdlab import watch
from kdlab.errors import BadInput
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.screen import SweepView, cell_line
from tests.sweeps.folders import cell, dead_process, sweep, write_cells


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200, highlight=False)


def plain(text):
    return Console(width=200).render_str(text).plain


@pytest.fixture
def folder(tmp_path):
    """A sweep with a cell of each kind."""
    run = tmp_path / "response-1"
    run.mkdir()
    (run / "result.json").write_text(json.dumps({"student": {"test/accuracy": 98.4}, "gain": 5.6}))
    finished = cell(0, run="../response-1")
    failed = cell(1, "failed", error="[bold]loss.temperature[/] must be above 0\nand more", exit_code=2)
    write_cells(tmp_path / "sweep", finished, failed, cell(2, "running", pid=dead_process()))
    return tmp_path / "sweep"


def test_a_cells_line_has_its_overrides_and_its_outcome(folder):
    grid = sweep(folder)
    finished, failed = (cell(0, run="../response-1"), cell(1, "failed", error="[x] is wrong\nand more"))
    assert plain(cell_line(finished, grid)) == "✓ cell 1 of 3  loss.temperature=2  98.40 %, gain +5.60  10 s"
    assert plain(cell_line(failed, grid)) == "✗ cell 2 of 3  loss.temperature=4  [x] is wrong  10 s"
    assert plain(cell_line(cell(2, "stopped"), grid)) == "– cell 3 of 3  loss.temperature=8  stopped early  10 s"


def test_each_cell_is_shown_once_as_it_ends(folder, console):
    view = SweepView(sweep(folder), lambda one: True, console)
    progress = Progress((cell(0, run="../response-1"),), 3)
    view.show_ended(progress)
    view.show_ended(progress)
    ended = iter([False, False, True])
    view.follow(lambda seconds: next(ended))
    lines = [line.split("  ")[0] for line in console.file.getvalue().splitlines()]
    assert lines == ["✓ cell 1 of 3", "✗ cell 2 of 3"]


def test_the_end_lists_every_failure_with_its_whole_error_and_what_is_missing(folder, console):
    view = SweepView(sweep(folder), lambda one: True, console)
    view.closing(view.progress())
    output = console.file.getvalue()
    assert "1 of 3 cells finished" in output
    assert "failed: loss.temperature=4\n          [bold]loss.temperature[/] must be above 0\nand more" in output
    assert "not finished: 1. The same command runs what is missing." in output


def test_watching_ends_with_the_sweep_and_refuses_another_folder(folder, capsys):
    with sweep(folder).running():
        pass
    write_cells(folder, cell(0, run="../response-1", started=9e9, ended=9e9 + 2))
    assert watch.watch(folder) == 0
    output = capsys.readouterr().out
    assert "Which temperature?" in output
    assert "✓ cell 1 of 3  loss.temperature=2  98.40 %, gain +5.60  2 s" in output
    assert "cell 2" not in output  # of an earlier start
    assert output.endswith("1 of 3 cells finished\n  not finished: 2. The same command runs what is missing.\n")
    with pytest.raises(BadInput, match="is not a sweep's folder"):
        watch.watch(Path("/"))

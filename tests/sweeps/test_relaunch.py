import io

import pytest
from hydra.errors import ConfigCompositionException
from rich.console import Console

from kdlab.errors import BadInput, TrainingFailed
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.relaunch import launch, should_relaunch
from kdlab.sweeps.screen import SweepView
from tests.sweeps.folders import cell, sweep, write_cells

NOTHING = Progress((), 6)


def after(*ended, pid=1):
    """The progress of a sweep of six cells of which those in `ended` have ended and one more runs in process `pid`."""
    return Progress((*(cell(number) for number in ended), cell(5, "running", pid=pid)), 6)


@pytest.mark.parametrize(
    ("history", "again"),
    [
        pytest.param([NOTHING, after()], True, id="a first worker lost"),
        pytest.param([NOTHING, NOTHING], False, id="a launcher that starts no cell"),
        pytest.param([after(0), after(0)], False, id="a later launch that starts no cell"),
        pytest.param([after(), after(pid=2), after(pid=3)], True, id="two that ended no cell"),
        pytest.param([after(), after(pid=2), after(pid=3), after(pid=4)], False, id="three that ended no cell"),
        pytest.param(
            [after(), after(pid=2), after(pid=3), after(0), after(0, pid=5)],
            True,
            id="one cell after two that ended none",
        ),
        pytest.param([after(), after(0), *(after(0, pid=pid) for pid in (2, 3, 4))], False, id="three after one cell"),
    ],
)
def test_launches_again_as_long_as_cells_begin_and_end(history, again):
    assert should_relaunch(history) is again


@pytest.fixture
def view(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    return SweepView(sweep(tmp_path, launcher="a.JoblibLauncher"), lambda cell: True, console)


class Flaky:
    """A launcher that loses its worker after so many cells, until all three have ended."""

    def __init__(self, view, each):
        self.view, self.each, self.launches = view, each, 0

    def __call__(self):
        self.launches += 1
        ended = min(self.launches * self.each, 3)
        write_cells(self.view.sweep.folder, *(cell(number) for number in range(ended)))
        if ended < 3:
            write_cells(self.view.sweep.folder, cell(2, "running", pid=self.launches))
            raise ChildProcessError("killed")


def test_missing_cells_are_launched_until_all_have_ended(view):
    flaky = Flaky(view, each=1)
    launch(flaky, view)
    assert flaky.launches == 3
    assert view.console.file.getvalue().count("a worker was lost (ChildProcessError)") == 2
    assert (view.sweep.folder / "launcher.log").read_text().count("ChildProcessError: killed") == 2


def test_a_launcher_that_ends_no_cell_is_an_error_with_its_reason(view):
    flaky = Flaky(view, each=0)
    with pytest.raises(TrainingFailed, match=r"^JoblibLauncher: workers were lost .* \(ChildProcessError: killed\)"):
        launch(flaky, view)
    assert flaky.launches == 3


def breaks_after(*cells, error, folder):
    def launcher():
        write_cells(folder, *cells)
        raise error

    return launcher


def test_a_launcher_that_starts_no_cell_is_an_error_at_once(view):
    reason = r"no cell could be started \(ConnectionError: no cluster\)\. Its whole output is in .*launcher\.log"
    with pytest.raises(TrainingFailed, match=reason):
        launch(breaks_after(error=ConnectionError("no cluster.\nmore"), folder=view.sweep.folder), view)
    assert view.console.file.getvalue() == ""


def test_a_launcher_that_breaks_after_the_last_cell_lost_nothing(view):
    launch(breaks_after(cell(0), cell(1), cell(2), error=ChildProcessError(), folder=view.sweep.folder), view)


def test_a_cell_that_cannot_be_composed_is_bad_input(view):
    with pytest.raises(BadInput, match=r"^no such option$"):
        launch(breaks_after(error=ConfigCompositionException("no such\n  option"), folder=view.sweep.folder), view)

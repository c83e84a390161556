import io

import pytest
from hydra.errors import ConfigCompositionException
from rich.console import Console

from kdlab.errors import BadInput, TrainingFailed
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.relaunch import is_worth_another, launch
from kdlab.sweeps.screen import SweepView
from tests.sweeps.folders import cell, sweep, write_cells

NOTHING = Progress((), 6)


def look(*ends, pid=1):
    """A sweep of six cells of which those at `ends` have ended and one more is at work in process `pid`."""
    return Progress((*(cell(number) for number in ends), cell(5, "running", pid=pid)), 6)


@pytest.mark.parametrize(
    ("looks", "again"),
    [
        pytest.param([NOTHING, look()], True, id="a first worker lost"),
        pytest.param([NOTHING, NOTHING], False, id="a launcher that starts no cell"),
        pytest.param([look(0), look(0)], False, id="a later launch that starts no cell"),
        pytest.param([look(), look(pid=2), look(pid=3)], True, id="two that ended no cell"),
        pytest.param([look(), look(pid=2), look(pid=3), look(pid=4)], False, id="three that ended no cell"),
        pytest.param(
            [look(), look(pid=2), look(pid=3), look(0), look(0, pid=5)], True, id="one cell after two in vain"
        ),
        pytest.param([look(), look(0), *(look(0, pid=pid) for pid in (2, 3, 4))], False, id="three after one cell"),
    ],
)
def test_another_launch_is_worth_it_while_it_gets_on(looks, again):
    assert is_worth_another(looks) is again


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


def test_what_is_missing_is_launched_until_all_cells_have_ended(view):
    flaky = Flaky(view, each=1)
    launch(flaky, view)
    assert flaky.launches == 3
    assert view.console.file.getvalue().count("a worker was lost (ChildProcessError)") == 2
    assert (view.sweep.folder / "launcher.log").read_text().count("ChildProcessError: killed") == 2


def test_a_launcher_that_gets_nowhere_is_given_up_with_its_reason(view):
    flaky = Flaky(view, each=0)
    with pytest.raises(TrainingFailed, match=r"^JoblibLauncher: workers were lost .* \(ChildProcessError: killed\)"):
        launch(flaky, view)
    assert flaky.launches == 3


def breaks_after(*cells, error, folder):
    def launcher():
        write_cells(folder, *cells)
        raise error

    return launcher


def test_a_launcher_that_starts_nothing_is_given_up_at_once(view):
    reason = r"no cell could be started \(ConnectionError: no cluster\)\. Its whole output is in .*launcher\.log"
    with pytest.raises(TrainingFailed, match=reason):
        launch(breaks_after(error=ConnectionError("no cluster.\nmore"), folder=view.sweep.folder), view)
    assert view.console.file.getvalue() == ""


def test_a_launcher_that_breaks_after_the_last_cell_lost_nothing(view):
    launch(breaks_after(cell(0), cell(1), cell(2), error=ChildProcessError(), folder=view.sweep.folder), view)


def test_a_cell_that_cannot_be_composed_is_the_users_to_mend(view):
    with pytest.raises(BadInput, match=r"^no such option$"):
        launch(breaks_after(error=ConfigCompositionException("no such\n  option"), folder=view.sweep.folder), view)

import pytest

from kdlab.sweeps.progress import Progress
from tests.sweeps.folders import cell, dead_process, write_cells


def test_cells_are_counted_by_status():
    gone = cell(3, "running", pid=dead_process())
    progress = Progress((cell(0), cell(1, "failed", error="no"), cell(2, "running"), gone, cell(4, "stopped")), 12)
    assert str(progress) == "3 of 12 done, 1 running, 1 failed, 1 lost, about 90 s left"  # 9 of 10 s each
    assert [len(progress.ended), len(progress.running), len(progress.lost), progress.missing] == [3, 1, 1, 9]


def test_the_time_left_is_that_of_the_median_cell_that_trained_shared_by_the_workers():
    reused = [cell(number, trained=0, ended=100.1) for number in range(5)]
    trained = [cell(5, ended=110.0), cell(6, ended=130.0), cell(7, ended=400.0)]
    running = [cell(8, "running"), cell(9, "running")]
    assert Progress((*reused, *trained, *running), 20).seconds_left == pytest.approx(30 * 12 / 2)


@pytest.mark.parametrize(("cells", "expected"), [((cell(0, trained=0),), 3), ((cell(0),), None), ((), 3)])
def test_the_time_left_is_not_guessed(cells, expected):
    progress = Progress(cells, expected)
    assert progress.seconds_left is None
    assert "left" not in str(progress)


def test_records_of_an_earlier_start_are_left_out(tmp_path):
    write_cells(tmp_path, cell(0, started=50.0), cell(1))
    assert [one.cell for one in Progress.of(tmp_path, 3, lambda one: one.started >= 100).cells] == [1]

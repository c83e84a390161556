import json
import os

import pytest

from kdlab.errors import BadInput
from kdlab.runtime.sweep_records import Start, read_cell, read_cells, read_sweep
from tests.sweeps.folders import HERE, cell, dead_process, sweep, write_cells


def test_a_sweep_is_read_as_it_was_written_with_its_process_and_start(tmp_path):
    written = sweep(tmp_path, varied={"loss.temperature": ["2", "4"]}, overrides=["seed=0"])
    with written.running():
        found, start = read_sweep(tmp_path)
        assert found == written
        assert (start.pid, start.host, start.ended, start.is_over) == (os.getpid(), HERE, None, False)
    assert read_sweep(tmp_path)[1].ended >= start.started


def test_a_start_is_over_when_its_process_is_gone_on_this_machine():
    assert Start(dead_process(), HERE, 0.0).is_over
    assert not Start(dead_process(), "elsewhere", 0.0).is_over
    assert not Start(os.getpid(), HERE, 0.0).is_over


def test_the_command_of_a_sweep_can_be_pasted(tmp_path):
    written = sweep(tmp_path, overrides=("+sweeps=temperature", "name=a b"))
    with written.running():
        record = json.loads((tmp_path / "sweep.json").read_text())
    assert record["command"] == "python -m kdlab.train -m +sweeps=temperature 'name=a b'"


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is not a sweep's folder: sweep\.json is not in it"):
        read_sweep(tmp_path)


def test_records_are_read_by_number_and_other_files_are_ignored(tmp_path):
    write_cells(tmp_path, cell(10), cell(2, "failed", error="no"), cell(0, "running"))
    (tmp_path / "cells" / "123.log").write_text("output of a worker")
    assert list(read_cells(tmp_path)) == [0, 2, 10]
    assert read_cell(tmp_path, 2) == cell(2, "failed", error="no")
    assert read_cells(tmp_path / "nothing") == {}


def test_a_running_cell_is_lost_with_its_process():
    assert cell(0, "running", pid=dead_process()).is_lost
    assert not cell(0, "running", pid=dead_process(), host="elsewhere").is_lost
    assert not cell(0, "running").is_lost
    assert not cell(0, "finished", pid=dead_process()).is_lost

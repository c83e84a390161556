import json
import os
import socket

import pytest

from kdlab.errors import BadInput
from kdlab.reporting.assemble import collect
from kdlab.reporting.collect.runs import find
from tests.reporting.lab import GONE, Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_runs_are_found_once_however_often_they_are_named(lab):
    first, second = lab.run(95.0, 90.0), lab.run(96.0, 90.0, seed=1)
    sweep = lab.sweep({"seed": ["0", "1"]}, [(["seed=0"], first, {}), (["seed=1"], second, {})])
    found = find([lab.root, sweep, first])
    assert sorted(run.path for run in found.runs) == [first, second]
    assert not found.lost


def test_a_sweeps_folder_leads_to_its_runs_and_to_no_others(lab):
    mine, other = lab.run(95.0, 90.0), lab.run(96.0, 90.0, seed=1)
    sweep = lab.sweep({"seed": ["0"]}, [(["seed=0"], mine, {})])
    assert [run.path for run in find([sweep]).runs] == [mine]
    assert {run.path for run in find([lab.root]).runs} == {mine, other}


def test_stages_in_the_store_are_no_runs(lab):
    run = lab.run(95.0, 90.0)
    for store in ("store", "elsewhere"):
        stage = lab.root / store / "0123456789abcdef"
        stage.mkdir(parents=True)
        (stage / "result.json").write_text(json.dumps({"test/accuracy": 99.0}))
        (stage / "config.yaml").write_text("{}")
    found = find([lab.root])
    assert [one.path for one in found.runs] == [run]
    assert not found.remarks


@pytest.mark.parametrize(
    "text", ['{"status": "fini', "[1, 2]", '{"status": "finished"}', '{"status": "finished", "student": 3}']
)
def test_a_damaged_or_foreign_file_is_skipped_with_a_remark(lab, text):
    lab.run(95.0, 90.0)
    (lab.root / "damaged-00").mkdir()
    (lab.root / "damaged-00" / "result.json").write_text(text)
    evidence = collect([lab.root])
    assert len(evidence.settings) == 1
    assert any(remark.startswith("damaged-00/result.json was skipped") for remark in evidence.remarks)


def test_a_damaged_record_of_a_cell_is_skipped_with_a_remark(lab):
    sweep = lab.sweep({"seed": ["0"]}, [(["seed=0"], lab.run(95.0, 90.0), {})])
    (sweep / "cells" / "1.json").write_text('{"cell": 1, "over')
    (sweep / "cells" / "2.json").write_text('{"cell": 2}')
    remarks = collect([sweep]).remarks
    assert [any(f"cells/{name}.json was skipped" in remark for remark in remarks) for name in (1, 2)] == [True, True]


def test_results_of_an_earlier_version_still_count(lab):
    old = {"status": "finished", "student": {"test/accuracy": 91.0}, "baseline": {"test/accuracy": 90.0}}
    lab.write(lab.root / "old-1", old)
    (setting,) = collect([lab.root]).settings
    assert setting.gain.points.mean == pytest.approx(1.0)


def test_failures_are_cells_that_failed_were_lost_or_never_started(lab):
    failed = lab.failed("the loss is not finite", typed=["loss.temperature=4"])
    cells = [
        (["loss.temperature=2"], lab.run(95.0, 90.0, settings={"loss.temperature": 2.0}), {}),
        (["loss.temperature=4"], failed, {"status": "failed", "error": "the loss is not finite"}),
        (["loss.temperature=6"], None, {"status": "failed", "error": "no such module"}),
        (["loss.temperature=8", "seed=3"], None, {"status": "running", "ended": None}),
    ]
    sweep = lab.sweep({"loss.temperature": ["2", "4", "6", "8", "9"]}, cells, cells=5)
    failures = {failure.label: failure.error for failure in collect([sweep]).failures}
    assert failures["T 4"] == "the loss is not finite"
    assert failures["T 6"] == "no such module"
    assert failures["T 8 · seed 3"].startswith("did not finish")
    assert failures["cell 4"] == "was never started"
    assert len(failures) == 4


def test_a_running_sweep_has_no_failures_yet(lab):
    cells = [
        (["seed=0"], lab.run(95.0, 90.0), {}),
        (["seed=1"], None, {"status": "running", "pid": os.getpid(), "ended": None}),
    ]
    sweep = lab.sweep({"seed": ["0", "1", "2"]}, cells, cells=3, ended=None, pid=os.getpid())
    evidence = collect([sweep])
    assert not evidence.failures
    assert [remark.rpartition(", ")[2] for remark in evidence.remarks[:2]] == ["1 still running.", "1 not yet started."]
    assert evidence.remarks[0].startswith("The result may still change: of the cells of sweep-0a1b2c3d, ")


def test_cells_that_a_search_stopped_are_neither_results_nor_failures(lab):
    cells = [(["seed=0"], lab.run(95.0, 90.0), {}), (["seed=1"], lab.failed("stopped"), {"status": "stopped"})]
    evidence = collect([lab.sweep({"seed": ["0", "1"]}, cells)])
    assert not evidence.failures
    assert any("1 stopped early by the search" in remark for remark in evidence.remarks)


def test_a_run_that_another_sweep_finished_is_no_failure_of_the_first(lab):
    run = lab.run(95.0, 90.0)
    lost = {"status": "running", "ended": None, "pid": GONE, "host": socket.gethostname()}
    evidence = collect([lab.sweep({"seed": ["0"]}, [(["seed=0"], run, lost)])])
    assert not evidence.failures
    assert len(evidence.settings) == 1


def test_a_folder_that_is_not_there_or_holds_nothing_is_bad_input(tmp_path):
    with pytest.raises(
        BadInput, match=r"DIR must be the folder of a run or a sweep, got .*nowhere, which is not there"
    ):
        collect([tmp_path / "nowhere"])
    with pytest.raises(BadInput, match=r"DIR must hold a run that ended or a sweep, got .* without any"):
        collect([tmp_path])


def test_a_sweep_that_ended_is_over_also_when_its_process_number_is_used_again(lab):
    sweep = lab.sweep({"seed": ["0", "1"]}, [(["seed=0"], lab.run(95.0, 90.0), {})], cells=2, pid=os.getpid())
    assert [failure.error for failure in collect([sweep]).failures] == ["was never started"]

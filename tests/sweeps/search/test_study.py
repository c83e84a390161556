"""The study of a search without Hydra: what it samples, and that its journal may be cut off anywhere."""

import json
import os
import socket

import optuna
import pytest
from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from kdlab.errors import BadInput
from kdlab.jobs.training.history import write_history
from kdlab.runtime.sweep_records import Cell
from kdlab.sweeps.search.conclusion import conclusion
from kdlab.sweeps.search.journal import JOURNAL, open_study, search_lock
from kdlab.sweeps.search.space import Space
from kdlab.sweeps.search.study import Search, pruner_of
from kdlab.tasks.description import IMAGE_CLASSIFICATION, Description, Metric
from tests.sweeps.search.fake import SPACE, height, sampled_by_optuna, trials, write_run


def space(*lines):
    return Space.of(OverridesParser.create().parse_overrides([*(lines or SPACE)]))


def begin(folder, seed=0, lines=SPACE, fixed="this", task=IMAGE_CLASSIFICATION):
    folder.mkdir(exist_ok=True)
    return Search.begin(folder, space(*lines), fixed, seed=seed, random_trials=2, task=task)


def ended(folder, trial, status="finished"):
    """The record of a cell, with the run directory that it has."""
    write_run(folder / f"run-{trial.number}", height(*trial.params.values()))
    return Cell(trial.number, (), status, os.getpid(), socket.gethostname(), 1.0, 2.0, run=f"run-{trial.number}")


def play(search, total, size, status="finished"):
    while batch := search.next_batch(size, total):
        for trial in batch:
            search.conclude(trial.number, ended(search.folder, trial, status))
    return search


@pytest.mark.parametrize(("size", "seed"), [(1, 0), (3, 5)])
def test_samples_what_optuna_samples(tmp_path, size, seed):
    play(begin(tmp_path, seed), 8, size)
    assert trials(tmp_path) == sampled_by_optuna(8, size, seed)


def test_every_epoch_of_a_finished_student_is_in_the_study(tmp_path):
    play(begin(tmp_path), 2, 1)
    assert [trial.intermediate_values for trial in open_study(tmp_path).trials] == [
        {1: trial.value - 1.0} for trial in open_study(tmp_path).trials
    ]


@pytest.mark.parametrize("size", [1, 3])
def test_a_journal_that_ends_anywhere_is_continued_to_the_same_search(tmp_path, size):
    play(begin(tmp_path / "whole"), 4, size)
    whole = (tmp_path / "whole" / JOURNAL).read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in range(1, len(lines)):
        folder = tmp_path / f"cut-{kept}"
        folder.mkdir()
        torn = lines[kept][: len(lines[kept]) // 2] if kept % 2 else b""
        (folder / JOURNAL).write_bytes(b"".join(lines[:kept]) + torn)
        play(begin(folder), 4, size)
        assert trials(folder) == trials(tmp_path / "whole"), kept
    assert kept > 20


def test_more_trials_go_on_where_fewer_ended(tmp_path):
    play(begin(tmp_path), 2, 1)
    play(begin(tmp_path), 5, 1)
    assert trials(tmp_path) == sampled_by_optuna(5, 1, seed=0)


def test_a_failed_trial_is_run_again_under_its_number_by_the_next_start_only(tmp_path):
    search = begin(tmp_path)
    for status in ("finished", "failed", "finished"):
        (trial,) = search.next_batch(1, 3)
        search.conclude(trial.number, ended(tmp_path, trial, status))
    (failed,) = [trial for trial in open_study(tmp_path).trials if trial.state == TrialState.FAIL]
    assert (failed.number, search.next_batch(1, 3)) == (1, [])
    (again,) = begin(tmp_path).next_batch(1, 3)
    assert (again.number, again.params, again.state) == (1, failed.params, TrialState.RUNNING)


@pytest.mark.parametrize("record", ["failed", "running", None])
def test_a_cell_that_did_not_end_well_is_a_failed_trial(tmp_path, record):
    search = begin(tmp_path)
    (trial,) = search.next_batch(1, 1)
    search.conclude(trial.number, record and ended(tmp_path, trial, record))
    assert trials(tmp_path)[0][2:] == (TrialState.FAIL, None)
    assert search.best is None


def test_a_stopped_cell_is_a_pruned_trial_and_never_the_best(tmp_path):
    search = begin(tmp_path)
    (high,) = search.next_batch(1, 2)
    search.conclude(0, ended(tmp_path, high))
    (stopped,) = search.next_batch(1, 2)
    optuna.trial.Trial(search.study, stopped._trial_id).report(99.0, 1)
    search.conclude(1, ended(tmp_path, stopped, "stopped"))
    assert trials(tmp_path)[1][2:] == (TrialState.PRUNED, 99.0)
    assert search.best.number == 0


def test_a_folder_has_one_search(tmp_path):
    begin(tmp_path)
    begin(tmp_path)
    with pytest.raises(BadInput, match=r"hydra\.sweep\.dir has a search with other fixed settings in it"):
        begin(tmp_path, fixed="that")
    with pytest.raises(BadInput, match=r"has another search in it, of loss\.temperature=Float.*; got optimizer\.lr="):
        begin(tmp_path, lines=["optimizer.lr=interval(0,1)"])


def test_of_a_metric_that_is_better_low_the_lowest_is_the_best(tmp_path):
    metric = Metric("perplexity", "perplexity", higher_is_better=False, is_relative=True)
    search = begin(tmp_path, task=Description("toy", "token", (metric,)))
    for reached in (12.0, 7.0, 9.0):
        (trial,) = search.next_batch(1, 3)
        cell, run = ended(tmp_path, trial), tmp_path / f"run-{trial.number}"
        write_history(run / "student" / "metrics.csv", [{"epoch": 1, "step": 3, "val/perplexity": reached + 1}])
        (run / "result.json").write_text(json.dumps({"student": {"val/perplexity": reached}}))
        search.conclude(trial.number, cell)
    assert (search.best.number, search.best.value) == (1, 7.0)
    assert begin(tmp_path, task=search.task).best.number == 1
    assert [trial.intermediate_values[1] for trial in search.study.trials] == [13.0, 8.0, 10.0]
    assert "is cell 2, val/perplexity 7.000:" in conclusion(search, [])


def test_one_process_at_a_time_samples_trials(tmp_path):
    with (
        search_lock(tmp_path),
        pytest.raises(BadInput, match="another process runs this search, in "),
        search_lock(tmp_path),
    ):
        pass
    with FileLock(tmp_path / "search.lock"):
        pass


def test_pruning_can_be_off():
    assert isinstance(pruner_of({"enabled": False}), NopPruner)

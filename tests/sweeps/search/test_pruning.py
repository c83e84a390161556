"""A search that trains: which trials are stopped and why, and that the others are unchanged."""

import contextlib
import json
import statistics
from types import SimpleNamespace

import optuna
import pytest
import torch
from optuna.trial import TrialState

from kdlab.errors import StoppedEarly
from kdlab.jobs.events import Progress
from kdlab.jobs.training.history import read_history
from kdlab.sweeps.cli import run
from kdlab.sweeps.search.journal import open_study
from kdlab.sweeps.search.pruning import Pruning
from kdlab.tasks.description import IMAGE_CLASSIFICATION
from kdlab.train import train
from tests.small import TINY

WARM_UP = 2
SEARCH = [
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=3",
    "hydra.sweeper.pruning.n_startup_trials=2",
    f"hydra.sweeper.pruning.n_warmup_epochs={WARM_UP}",
    "optimizer.lr=tag(log,interval(1e-8,1))",
]
STAGE = SimpleNamespace(epochs=4, task=IMAGE_CLASSIFICATION)
PRUNING = {"enabled": True, "n_startup_trials": 2, "n_warmup_epochs": 0}
GOOD = (50.0, 60.0, 70.0, 80.0)
FIXED = [*TINY, "epochs=3", "baseline=false"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A folder in which the first two trials of a search were finished and the third stopped."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(train, [*SEARCH, *FIXED]) == 0
    return folder


def sweep(found):
    (journal,) = found.glob("outputs/sweep-*/search.journal")
    return journal.parent


def cells(found):
    paths = sorted(sweep(found).glob("cells/*.json"))
    return [json.loads(path.read_text()) for path in paths]


def directory(found, number):
    return (sweep(found) / cells(found)[number]["run"]).resolve()


def accuracies(found, number):
    rows = read_history(directory(found, number) / "student" / "metrics.csv")
    return {int(row["epoch"]): row["val/accuracy"] for row in rows}


def stopped_stage(found, number):
    """The folder of a student that has a checkpoint and no result, with the learning rate of a cell."""
    rate = float(cells(found)[number]["overrides"][-1].partition("=")[2])
    (config,) = [path for path in found.glob("outputs/store/*/config.yaml") if f"lr: {rate!r}" in path.read_text()]
    return config.parent


def test_cells_and_trials_end_alike_and_the_value_is_the_students_on_validation(found):
    trials = open_study(sweep(found)).trials
    assert [cell["status"] for cell in cells(found)] == ["finished", "finished", "stopped"]
    assert [cell["exit_code"] for cell in cells(found)] == [0] * 3
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED]
    for number in (0, 1):
        student = json.loads((directory(found, number) / "result.json").read_text())["student"]
        assert trials[number].value == student["val/accuracy"]
        assert trials[number].intermediate_values == accuracies(found, number)


def test_a_trial_below_the_median_of_the_finished_ones_is_stopped_after_the_warm_up(found):
    trials = open_study(sweep(found)).trials
    at_the_time = statistics.median(accuracies(found, number)[WARM_UP] for number in (0, 1))
    assert sorted(trials[2].intermediate_values) == [1, WARM_UP]
    assert max(trials[2].intermediate_values.values()) < at_the_time
    assert cells(found)[2]["error"] == (
        f"val/accuracy {trials[2].value:.2f} % after epoch 2 of 3: its best is below the median of the finished trials "
        "at that epoch"
    )


def test_a_stopped_student_keeps_its_checkpoint_and_leaves_no_result(found):
    stage = stopped_stage(found, 2)
    states = torch.load(stage / "last.ckpt", weights_only=True)["callbacks"].values()
    (rows,) = [state["rows"] for state in states if "rows" in state]
    assert [row["epoch"] for row in rows] == [1, WARM_UP]
    assert not (stage / "result.json").exists()
    assert not (directory(found, 2) / "result.json").exists()


def test_students_have_the_same_bits_in_a_search_also_when_it_stopped_them_half_way(found, tmp_path, monkeypatch):
    for number in (0, 2):
        rate = cells(found)[number]["overrides"][-1]
        monkeypatch.chdir(tmp_path)
        assert run(train, [*FIXED, rate]) == 0
        (by_itself,) = tmp_path.glob(f"outputs/{directory(found, number).name}/student/student.safetensors")
        monkeypatch.chdir(found)
        assert number == 0 or run(train, [*FIXED, rate]) == 0  # continues where the search stopped
        assert (directory(found, number) / "student" / "student.safetensors").read_bytes() == by_itself.read_bytes()


def pruning_beside(folder, *others, **pruning):
    """The pruning callback of a new trial, beside finished ones with these accuracies epoch by epoch."""
    study = open_study(folder)
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for accuracies in others:
        trial = study.ask(space)
        for epoch, accuracy in enumerate(accuracies, start=1):
            trial.report(accuracy, epoch)
        study.tell(trial, accuracies[-1])
    study.ask(space)
    return Pruning(STAGE, folder, len(others), {**PRUNING, **pruning})


def epoch_ends(epoch, accuracy, stage=STAGE):
    return Progress(stage, epoch, 4, {"epoch": float(epoch), "step": 1.0, "val/accuracy": accuracy})


def ended_by(pruning, *accuracies):
    """The epoch after which it ends the student; None where it never does."""
    for epoch, accuracy in enumerate(accuracies, start=1):
        try:
            pruning(epoch_ends(epoch, accuracy))
        except StoppedEarly:
            return epoch
    return None


@pytest.mark.parametrize(
    ("accuracies", "pruning", "expected"),
    [
        ((10.0, 10.0, 10.0, 10.0), {}, 1),
        ((50.0, 60.0, 10.0, 10.0), {}, 3),  # 60 is below 70
        ((80.0, 10.0, 10.0, 10.0), {}, None),  # its best counts
        ((10.0, 10.0, 10.0, 10.0), {"n_warmup_epochs": 3}, 3),
        ((60.0, 65.0, 70.0, 10.0), {}, None),  # nothing stops what has trained its last epoch
        ((10.0, 10.0, 10.0, 10.0), {"n_startup_trials": 3}, None),
    ],
)
def test_a_bad_trial_ends_after_the_epoch_that_shows_it(tmp_path, accuracies, pruning, expected):
    assert ended_by(pruning_beside(tmp_path, GOOD, GOOD, **pruning), *accuracies) == expected


def test_other_stages_and_progress_within_an_epoch_are_not_reported(tmp_path):
    pruning = pruning_beside(tmp_path, GOOD, GOOD)
    pruning(epoch_ends(1, 10.0, stage=SimpleNamespace(epochs=4)))
    pruning(Progress(STAGE, 1, 4))
    assert open_study(tmp_path).trials[2].intermediate_values == {}


def test_a_resumed_student_is_pruned_by_the_epochs_that_it_had(tmp_path):
    pruning = pruning_beside(tmp_path, GOOD, GOOD)
    for _ in range(2):  # also when its trial knows them already
        for epoch in (1, 2):
            with contextlib.suppress(StoppedEarly):
                pruning(epoch_ends(epoch, 10.0))
        pruning = Pruning(STAGE, tmp_path, 2, PRUNING)
    with pytest.raises(StoppedEarly, match=r"val/accuracy 10\.00 % after epoch 1 of 4: its best is below the median"):
        pruning(epoch_ends(1, 10.0))
    assert open_study(tmp_path).trials[2].intermediate_values == {1: 10.0, 2: 10.0}

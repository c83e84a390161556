"""Callbacks that decide which weights a stage ends with: the best epoch's, or an average."""

import json

import pytest
import torch
from lightning.pytorch import Callback

import kdlab.jobs.training.checkpointing
from kdlab.errors import BadInput
from tests.jobs.training.test_stage import Crash, CrashAfterTheLastEpoch, CrashAt, assert_same_stage, stage_in, weights
from tests.small import tiny_plan

BEST = ("loss=ce", "callbacks=keep_best", "scheduler=constant", "data.split_seed=3", "data.train_samples=256")


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


class Weights(Callback):
    """The student's weights after each step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, *arguments):
        state = pl_module.student.module.state_dict()
        self.steps.append({name: tensor.clone() for name, tensor in state.items()})


@pytest.mark.parametrize("choose", [max, min])
def test_the_kept_weights_are_those_of_a_training_that_ends_with_the_best_epoch(choose, tmp_path):
    """With `mode=min` the least accuracy is best: of one of both modes it is not that of the last epoch."""
    settings = (*BEST, f"callbacks.keep_best.mode={choose.__name__}")
    long = stage_in(tmp_path / "long", tiny_plan(*settings, "epochs=6"), "student")
    values = [float(line.split(",")[0]) for line in (long / "metrics.csv").read_text().splitlines()[1:]]
    best = 1 + values.index(choose(values))
    assert (result_of(long)["kept_epoch"], result_of(long)["epochs"]) == (best, 6)
    assert result_of(long)["val/accuracy"] == pytest.approx(choose(values))
    short = stage_in(tmp_path / "short", tiny_plan(*settings, f"epochs={best}"), "student")
    torch.testing.assert_close(weights(long), weights(short), rtol=0, atol=0)


def test_the_average_is_exponential_over_steps_and_is_what_validation_sees(tmp_path):
    plan, seen = tiny_plan("loss=ce", "callbacks=ema", "callbacks.ema.decay=0.8", "epochs=3"), Weights()
    folder = stage_in(tmp_path, plan, "student", [seen])
    expected = {name: tensor.double() for name, tensor in seen.steps[0].items()}
    for step in seen.steps[1:]:
        expected = {name: 0.8 * average + 0.2 * step[name].double() for name, average in expected.items()}
    found = weights(folder)
    for name in (name for name in found if "num_batches" not in name):
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-4, atol=1e-6)
    last = (folder / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert float(last[0]) == pytest.approx(result_of(folder)["val/accuracy"])


@pytest.mark.parametrize("callback", ["keep_best", "ema"])
@pytest.mark.parametrize("batches", [2, 3, 5])
def test_a_crash_changes_no_bit(callback, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = tiny_plan("loss=ce", f"callbacks={callback}")
    uninterrupted = stage_in(tmp_path / "uninterrupted", plan, "student")
    with pytest.raises(Crash):
        stage_in(tmp_path / "crashed", plan, "student", [CrashAt(batches)])
    assert_same_stage(stage_in(tmp_path / "crashed", plan, "student"), uninterrupted)


@pytest.mark.parametrize("callback", ["keep_best", "ema"])
def test_a_crash_between_the_last_epoch_and_the_result_changes_no_bit(callback, tmp_path):
    plan = tiny_plan(*BEST, f"callbacks={callback}", "epochs=8")
    uninterrupted = stage_in(tmp_path / "uninterrupted", plan, "student")
    with pytest.raises(Crash):
        stage_in(tmp_path / "crashed", plan, "student", [CrashAfterTheLastEpoch()])
    assert_same_stage(stage_in(tmp_path / "crashed", plan, "student"), uninterrupted)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["data.val_fraction=0"], "callbacks=keep_best chooses an epoch on validation, and data.val_fraction=0 holds"),
        (["callbacks=[keep_best,ema]"], "callbacks=keep_best and averaged weights exclude each other. Choose one"),
        (["callbacks.keep_best.monitor=val/f1"], "callbacks.keep_best.monitor must be one of val/accuracy, val/nll"),
    ],
)
def test_what_cannot_choose_an_epoch_is_refused(overrides, text, tmp_path):
    with pytest.raises(BadInput, match=f"^{text.replace('[', '.')}"):
        stage_in(tmp_path, tiny_plan("loss=ce", "callbacks=keep_best", *overrides), "student")

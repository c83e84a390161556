"""One stage, really trained: resumed exactly, with an unchanged teacher and a small checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from lightning.pytorch import Callback

import kdlab
import kdlab.jobs.training.checkpointing
from kdlab.data.image.digits import read_digits
from kdlab.data.image.memory import read_resized
from kdlab.errors import Interrupted, TrainingFailed
from kdlab.jobs.plan import Plan
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.checkpointing import no_report
from kdlab.jobs.training.history import read_history
from kdlab.jobs.training.loop import train
from kdlab.models.saved import load_network, load_predictions
from kdlab.reporting.collect.predictions import examples, predictions
from kdlab.store.store import Store
from kdlab.tasks.dark_knowledge import illustrative_samples
from tests.small import TINY, tiny_plan

DROPOUT = ("model.student.kwargs.dropout=0.3",)


class Crash(Exception):
    pass


class CrashAt(Callback):
    """Raises after so many batches of this attempt."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, *arguments) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


def stage_in(root: Path, plan: Plan, name: str, callbacks=(), report=no_report) -> Path:
    """Trains a stage and those that it needs in a store."""
    store = Store(root)
    stage = next(stage for stage in plan.stages if stage.name == name)
    inputs = [stage_in(root, plan, needed.name) for needed in stage.needs]
    folder = store.folder(stage)
    if not store.finished(stage):
        folder.mkdir(exist_ok=True)
        store.describe(stage, stage.settings)
        store.finish(stage, train(stage, folder, inputs, cache_specs(stage, root), report=report, callbacks=callbacks))
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "student.safetensors")


def without_seconds(folder: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()]


def assert_same_stage(one: Path, other: Path) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)
    torch.testing.assert_close(load_predictions(one), load_predictions(other), rtol=0, atol=0)
    assert without_seconds(one) == without_seconds(other)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    root = tmp_path_factory.mktemp("uninterrupted")
    return stage_in(root, tiny_plan(*DROPOUT), "student")


@pytest.mark.parametrize("batches", [1, 3, 4])  # of 2 epochs of 3: in the first, at its end, in the second
def test_a_crash_changes_no_bit_of_the_student_also_with_dropout(batches, uninterrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = tiny_plan(*DROPOUT)
    stage_in(tmp_path, plan, "teacher")
    with pytest.raises(Crash):
        stage_in(tmp_path, plan, "student", [CrashAt(batches)])
    assert_same_stage(stage_in(tmp_path, plan, "student"), uninterrupted)


def test_without_saves_within_an_epoch_it_continues_from_the_last_whole_one(uninterrupted, tmp_path):
    plan = tiny_plan(*DROPOUT)
    stage_in(tmp_path, plan, "teacher")
    with pytest.raises(Crash):
        stage_in(tmp_path, plan, "student", [CrashAt(5)])
    counter = CrashAt(100)
    assert_same_stage(stage_in(tmp_path, plan, "student", [counter]), uninterrupted)
    assert counter.left == 97


class CrashAfterTheLastEpoch(Callback):
    def on_train_end(self, *arguments) -> None:
        raise Crash


STOPPED = ("loss=ce", "epochs=4", "callbacks=early_stopping", "callbacks.early_stopping.patience=1")
STOPPED += ("+callbacks.early_stopping.min_delta=100",)  # more than the second epoch improves


def test_a_crash_between_the_early_stop_and_the_result_trains_no_further_epoch(tmp_path):
    plan = tiny_plan(*STOPPED)
    uninterrupted = stage_in(tmp_path / "uninterrupted", plan, "student")
    assert json.loads((uninterrupted / "result.json").read_text())["epochs"] == 2
    with pytest.raises(Crash):
        stage_in(tmp_path / "crashed", plan, "student", [CrashAfterTheLastEpoch()])
    counter, reported = CrashAt(100), []
    resumed = stage_in(tmp_path / "crashed", plan, "student", [counter], lambda done, total, row: reported.append(row))
    assert_same_stage(resumed, uninterrupted)
    assert counter.left == 100
    assert [row["step"] for row in reported if row] == [3, 6]  # a W&B run of the second attempt needs both


class StopAtStep(Callback):
    """Stops training within the second epoch; with `crashes` it raises before the epoch is complete."""

    def __init__(self, crashes: bool) -> None:
        self.crashes = crashes

    def on_train_batch_end(self, trainer, *arguments) -> None:
        trainer.should_stop = trainer.global_step == 4

    def on_validation_start(self, trainer, pl_module) -> None:
        if trainer.should_stop and self.crashes:
            raise Crash


def test_a_crash_between_a_stop_within_an_epoch_and_its_end_changes_no_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = tiny_plan("loss=ce", "epochs=4")
    uninterrupted = stage_in(tmp_path / "uninterrupted", plan, "student", [StopAtStep(crashes=False)])
    assert len(without_seconds(uninterrupted)) == 1 + 2
    with pytest.raises(Crash):
        stage_in(tmp_path / "crashed", plan, "student", [StopAtStep(crashes=True)])
    assert_same_stage(stage_in(tmp_path / "crashed", plan, "student", [StopAtStep(crashes=False)]), uninterrupted)


def test_an_interrupt_is_saved_and_continued(uninterrupted, tmp_path):
    def interrupt(done, total, row):
        assert total in (6, None)
        if done == 5:
            raise Interrupted("enough")

    plan = tiny_plan(*DROPOUT)
    stage_in(tmp_path, plan, "teacher")
    with pytest.raises(Interrupted, match="enough"):
        stage_in(tmp_path, plan, "student", report=interrupt)
    counter = CrashAt(100)
    assert_same_stage(stage_in(tmp_path, plan, "student", [counter]), uninterrupted)
    assert counter.left == 99


def test_the_teacher_does_not_change_and_stays_in_eval_mode_without_gradients(tmp_path):
    class RecordTeacher(Callback):
        def on_train_batch_end(self, trainer, pl_module, *arguments) -> None:
            (teacher,) = pl_module.teachers
            network = teacher.teacher.network  # the one behind the cache
            assert not any(part.training for part in network.modules())
            assert all(parameter.grad is None for parameter in network.parameters())
            state = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
            self.states.append(state)

    plan, record = tiny_plan(), RecordTeacher()
    record.states = []
    before = weights(stage_in(tmp_path, plan, "teacher"))
    stage_in(tmp_path, plan, "student", [record])
    torch.testing.assert_close(record.states[-1], record.states[0], rtol=0, atol=0)
    torch.testing.assert_close(weights(stage_in(tmp_path, plan, "teacher")), before, rtol=0, atol=0)


def test_the_checkpoint_holds_student_and_optimizer_and_no_teacher(uninterrupted):
    checkpoint = torch.load(uninterrupted / "last.ckpt", weights_only=True)
    names = {name.removeprefix("student.module.") for name in checkpoint["state_dict"]}
    assert names == set(weights(uninterrupted))
    tensors = sum(tensor.nbytes for tensor in weights(uninterrupted).values())
    momentum = sum(p.nbytes for name, p in load_network(uninterrupted).module.named_parameters())
    overhead = 40_000  # names, loop state, history
    assert (uninterrupted / "last.ckpt").stat().st_size < tensors + momentum + overhead


def test_the_history_has_a_row_an_epoch_with_every_term(uninterrupted):
    header, *rows = (uninterrupted / "metrics.csv").read_text().splitlines()
    columns = header.split(",")
    assert {"epoch", "step", "train/loss", "train/ce", "train/response_kd", "val/accuracy", "lr"} <= set(columns)
    assert [row.split(",")[columns.index("step")] for row in rows] == ["3", "6"]


def test_the_weighted_terms_make_the_loss(uninterrupted):
    header, *rows = (uninterrupted / "metrics.csv").read_text().splitlines()
    for row in rows:
        figures = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
        expected = 0.3 * figures["train/ce"] + 0.7 * figures["train/response_kd"]
        assert figures["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_the_result_has_the_cost_of_the_network(uninterrupted):
    result = json.loads((uninterrupted / "result.json").read_text())
    network = load_network(uninterrupted)
    assert result["params"] == sum(parameter.numel() for parameter in network.module.parameters())
    assert result["size_bytes"] == (uninterrupted / "student.safetensors").stat().st_size
    assert result["teacher_forwards"] + result["teacher_recalls"] == 2 * 96
    last = read_history(uninterrupted / "metrics.csv")[-1]
    assert result["samples_per_second"] == pytest.approx(2 * 96 / last["seconds"])
    assert result["seconds"] > last["seconds"]  # with the evaluation
    logits, targets = load_predictions(uninterrupted)
    assert result["test/accuracy"] == pytest.approx(100 * (logits.argmax(1) == targets).float().mean().item())


def test_class_names_and_the_pictures_that_reports_show_are_saved_with_the_predictions(uninterrupted):
    shown = examples(uninterrupted, 10)
    assert shown.names == tuple("0123456789")
    logits = predictions(uninterrupted)[0]
    assert set(shown.pictures) == set(illustrative_samples(logits).values())
    images = read_resized(read_digits, "test", 32).images
    for sample, picture in shown.pictures.items():
        np.testing.assert_array_equal(picture, images[sample].permute(1, 2, 0).numpy())


def nan_loss(student, labels):
    return student.sum() * float("nan")


def test_the_error_for_a_loss_that_is_not_finite_names_term_and_step(tmp_path):
    plan = tiny_plan("loss=ce", f"loss.terms.broken._target_={__name__}.nan_loss", "loss.terms.broken.weight=1")
    text = r"^The loss is not finite: term broken, epoch 1, step 0; student logits .* to .* A lower optimizer\.lr"
    with pytest.raises(TrainingFailed, match=text):
        stage_in(tmp_path, plan, "student")


def test_a_teacher_that_diverges_is_named_with_the_setting_of_its_own_optimizer(tmp_path):
    plan = tiny_plan("model.teacher.train.optimizer.lr=1e30")
    text = r"^The loss is not finite: term ce.* A lower model\.teacher\.train\.optimizer\.lr, trainer"
    with pytest.raises(TrainingFailed, match=text):
        stage_in(tmp_path, plan, "student")


def test_one_sample_a_batch_and_bfloat16_train(tmp_path):
    plan = tiny_plan("loss=ce", "hardware.precision=bf16-mixed", "epochs=1", "data.train_samples=33")
    folder = stage_in(tmp_path, plan, "student")
    assert all(tensor.isfinite().all() for tensor in weights(folder).values())


def test_a_run_without_validation_trains_and_has_no_best_epoch(tmp_path):
    folder = stage_in(tmp_path, tiny_plan("loss=ce", "data.val_fraction=0"), "student")
    result = json.loads((folder / "result.json").read_text())
    assert "val/accuracy" not in result
    assert result["best_minus_last"] is None


def small_cnn_plan(*overrides: str) -> Plan:
    widths = [argument for argument in TINY if "student.kwargs" in argument]
    return kdlab.plan([*(argument for argument in TINY if argument not in widths), *overrides])


def test_two_ranks_are_one_process_on_a_network_without_batch_statistics(tmp_path):
    from kdlab.jobs.training.ranks import train_with_ranks

    base = ("loss=ce", "model/student=small_cnn", "data.train_samples=90", "optimizer.lr=0.01")
    one = stage_in(tmp_path / "one", small_cnn_plan(*base), "student")
    plan = small_cnn_plan(*base, "hardware=ddp", "hardware.threads=1", "trainer.devices=2")
    store = Store(tmp_path / "two")
    two = store.folder(plan.student)
    two.mkdir()
    store.describe(plan.student, plan.student.settings)
    reports = []
    figures = train_with_ranks(plan.student, two, [], [], 2, report=lambda *report: reports.append(report))
    store.finish(plan.student, figures)
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-4, atol=1e-5)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, two)]
    assert results[0]["test/accuracy"] == pytest.approx(results[1]["test/accuracy"], abs=0.21)
    assert len(load_predictions(two)[1]) == len(load_predictions(one)[1]) == 500
    assert [(done, total, row["epoch"], row["samples"]) for done, total, row in reports if row] == [
        (3, 6, 1.0, 90.0),
        (6, 6, 2.0, 180.0),
    ]

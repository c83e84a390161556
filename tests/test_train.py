"""The command itself, run in this process: what it writes, prints and returns."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

import kdlab
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY
from tests.tracking.wandb_files import offline_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run_dir(folder):
    assert run(train, [*TINY, f"paths.outputs={folder}"]) == 0
    (path,) = folder.glob("response-*")
    return path


@pytest.fixture(scope="module")
def result(run_dir):
    return json.loads((run_dir / "result.json").read_text())


def predictions(run_dir, stage):
    tensors = safetensors.numpy.load_file(run_dir / stage / "predictions.safetensors")
    return tensors["logits"], tensors["targets"]


def test_leaves_a_run_directory_with_relative_links_to_its_stages(run_dir):
    assert {path.name for path in run_dir.iterdir()} == {
        ".hydra",
        "train.log",
        "result.json",
        "teacher",
        "baseline",
        "student",
    }
    for stage in ("teacher", "baseline", "student"):
        assert not os.path.isabs(os.readlink(run_dir / stage))
        names = {path.name for path in (run_dir / stage).iterdir()}
        assert {"config.yaml", "last.ckpt", "student.safetensors", "metrics.csv", "result.json"} <= names
    assert "data.train_samples=96" in (run_dir / ".hydra" / "overrides.yaml").read_text()


def test_the_result_has_every_field_of_the_contract(result):
    figures = {"test/accuracy", "test/nll", "test/ece", "val/accuracy", "params", "flops", "size_bytes"}
    assert all(figures <= set(result[role]) for role in ("teacher", "student", "baseline"))
    assert {
        "status",
        "gain",
        "gap_recovered",
        "agreement",
        "agreement_baseline",
        "kl_to_teacher",
        "best_minus_last",
        "stages",
        "environment",
        "config",
    } <= set(result)
    assert result["status"] == "finished"
    assert [set(stage) for stage in result["stages"]] == [
        {"name", "fingerprint", "reused", "epochs", "seconds", "teacher_forwards", "teacher_recalls"}
    ] * 3
    assert result["environment"]["packages"]["torch"] == torch.__version__.partition("+")[0]


def test_gain_and_agreement_follow_from_the_predictions(run_dir, result):
    (teacher, targets), (student, _), (baseline, _) = (
        predictions(run_dir, stage) for stage in ("teacher", "student", "baseline")
    )

    def accuracy(logits):
        return 100 * (logits.argmax(1) == targets).mean()

    assert result["gain"] == pytest.approx(accuracy(student) - accuracy(baseline))
    gap = accuracy(teacher) - accuracy(baseline)
    if gap >= 1:
        assert result["gap_recovered"] == pytest.approx(result["gain"] / gap)
    else:
        assert result["gap_recovered"] is None
        assert "under 1" in result["gap_recovered_reason"]
    assert result["agreement"] == pytest.approx(100 * np.mean(student.argmax(1) == teacher.argmax(1)))
    assert result["agreement_baseline"] == pytest.approx(100 * np.mean(baseline.argmax(1) == teacher.argmax(1)))


def test_the_student_loads_ready_to_use(run_dir):
    network = kdlab.load(str(run_dir))
    from kdlab.data import Digits

    data = Digits()
    data.setup("test")
    logits = torch.cat([network(batch.inputs) for batch in data.test_dataloader()])
    assert not network.training
    np.testing.assert_allclose(logits.detach().numpy(), predictions(run_dir, "student")[0], rtol=1e-4, atol=1e-4)


def test_the_same_command_again_trains_nothing_and_prints_that(run_dir, folder, capfd):
    before = {path: path.stat().st_mtime_ns for path in folder.glob("store/*/*")}
    assert run(train, [*TINY, f"paths.outputs={folder}"]) == 0
    output = capfd.readouterr().out
    assert "nothing was trained" in output
    assert output.count("reused") == 3
    assert {path: path.stat().st_mtime_ns for path in folder.glob("store/*/*")} == before
    result = json.loads((run_dir / "result.json").read_text())
    assert all(stage["reused"] for stage in result["stages"])


def test_another_seed_shares_only_the_teacher(run_dir, folder, capfd):
    assert run(train, [*TINY, "seed=1", f"paths.outputs={folder}"]) == 0
    output = capfd.readouterr().out
    assert [line.split()[2] for line in output.splitlines() if line.startswith("✓")] == ["reused", "trained", "trained"]


def test_a_worse_teacher_is_a_warning(folder, capfd):
    spoiled = ["model.teacher.train.optimizer.lr=1e-9", "epochs=6", "data.train_samples=512"]
    assert run(train, [*TINY, *spoiled, f"paths.outputs={folder}"]) == 0
    assert "The teacher is worse than the baseline." in capfd.readouterr().out


def test_wandb_gets_a_run_a_stage_and_one_for_the_cell(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    arguments = [*TINY, "logger=[wandb,csv]", "logger.project=students", "tags=[tiny]", f"paths.outputs={tmp_path}"]
    assert run(train, arguments) == 0
    runs = {one.run.display_name: one for one in offline_runs(tmp_path)}
    stages = {"teacher-resnet8-s0", "baseline-resnet8-s0", "student-resnet8-s0"}
    assert set(runs) == {*stages, "response-T4-a0.7-s0"}
    assert {one.run.project for one in runs.values()} == {"students"}
    cell, student = runs["response-T4-a0.7-s0"], runs["student-resnet8-s0"]
    assert (cell.run.job_type, student.run.job_type, cell.exit_code, student.exit_code) == ("cell", "stage", 0, 0)
    (path,) = tmp_path.glob("response-*/result.json")
    result = json.loads(path.read_text())
    assert cell.summary["gain"] == pytest.approx(result["gain"])
    assert cell.summary["student/test/accuracy"] == pytest.approx(result["student"]["test/accuracy"])
    assert [row["step"] for row in student.history] == [3, 6]
    assert "train/response_kd" in student.history[0]


def test_a_failed_run_is_marked_on_disk_and_in_wandb(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    arguments = [*TINY, "loss=ce", "optimizer.lr=1e30", "logger=wandb", f"paths.outputs={tmp_path}"]
    assert run(train, arguments) == 1
    (path,) = tmp_path.glob("ce-*/result.json")
    result = json.loads(path.read_text())
    assert result["status"] == "failed"
    assert "The loss is not finite: term ce" in result["error"]
    assert {one.exit_code for one in offline_runs(tmp_path)} == {1}


def test_a_callback_and_a_list_of_loggers_compose(tmp_path):
    early = ["loss=ce", "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "epochs=30"]
    assert run(train, [*TINY, *early, "optimizer.lr=1e-9", f"paths.outputs={tmp_path}"]) == 0
    (path,) = Path(tmp_path).glob("ce-*/student/metrics.csv")
    assert 2 < len(path.read_text().splitlines()) < 12


def test_a_full_disk_is_an_error_and_the_run_continues_once_there_is_room(small_disk, capfd):
    arguments = [*TINY, "loss=ce", "epochs=3", f"paths.outputs={small_disk}"]
    assert run(train, [*arguments, "epochs=1"]) == 0
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while file.write(bytes(1024)):
            file.flush()
    os.truncate(filler, filler.stat().st_size - 24 * 1024)
    assert run(train, arguments) == 1
    assert "The disk is full" in capfd.readouterr().err
    filler.unlink()
    assert run(train, arguments) == 0


def test_two_ranks_under_a_multirun_make_two_runs_and_print_everything_once(tmp_path, capfd):
    ddp = ["hardware=ddp", "hardware.threads=1", "trainer.devices=2", "loss=ce", "seed=0,1", "epochs=1"]
    tiny = [argument for argument in TINY if not argument.startswith(("hardware", "epochs"))]
    assert run(train, ["-m", *tiny, *ddp, f"paths.outputs={tmp_path}"]) == 0
    runs = [path.parent for path in tmp_path.glob("*/result.json")]
    output = capfd.readouterr().out
    assert len(runs) == len({path.name for path in runs}) == 2
    assert output.count("✓ student    trained") == 2
    assert [output.count(f"cell {number} of 2") for number in (1, 2)] == [1, 1]
    for one in runs:
        assert len(predictions(one, "student")[1]) == 500
        assert [stage["name"] for stage in json.loads((one / "result.json").read_text())["stages"]] == ["student"]

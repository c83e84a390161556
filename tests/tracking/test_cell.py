"""A sweep of two cells as W&B sees it, one of which cannot be planned; read back from what wandb wrote offline."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from sklearn.metrics import confusion_matrix

from kdlab.errors import Interrupted
from kdlab.jobs.training.history import History
from kdlab.runtime.result import figure_names
from kdlab.store.fingerprint import config_fingerprint
from kdlab.sweeps.cli import run
from kdlab.tasks.description import IMAGE_CLASSIFICATION
from kdlab.tracking.cell import figures
from kdlab.train import train
from tests.small import TINY
from tests.tracking.wandb_files import offline_runs

QUESTION = "Is there a temperature below zero?"
SWEEP = f"# {QUESTION}\nhydra:\n  sweeper:\n    params:\n      loss.temperature: 2,-1\n"


@pytest.fixture(autouse=True)
def _without_account(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Outputs of the sweep, run from a folder that has its question."""
    home = tmp_path_factory.mktemp("home")
    (home / "sweeps").mkdir()
    (home / "sweeps" / "below.yaml").write_text(SWEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.chdir(home)
        assert run(train, ["-m", "+sweeps=below", *TINY, "logger=wandb", "tags=[cold]", "paths.outputs=outputs"]) == 1
    return home / "outputs"


@pytest.fixture(scope="module")
def runs(folder):
    return {one.run.display_name: one for one in offline_runs(folder)}


@pytest.fixture(scope="module")
def run_dir(folder):
    (path,) = folder.glob("response-*")
    return path


@pytest.fixture(scope="module")
def cell(runs):
    return runs["response-T2-a0.7-s0"]


def test_every_run_is_in_the_group_of_the_sweeps_folder_with_its_question(runs, folder):
    (sweep,) = folder.glob("below-*")
    assert {one.run.run_group for one in runs.values()} == {sweep.name}
    assert {one.run.notes for one in runs.values()} == {QUESTION}
    assert {tuple(one.run.tags) for one in runs.values()} == {("cold",)}
    stages = {"teacher-resnet8-s0", "baseline-resnet8-s0", "student-resnet8-s0"}
    assert {name for name, one in runs.items() if one.run.job_type == "stage"} == stages
    assert {name for name, one in runs.items() if one.run.job_type == "cell"} == set(runs) - stages


def test_a_cell_that_cannot_be_planned_is_a_failed_run(runs):
    failed = runs["response-T-1-a0.7-s0"]
    assert (failed.exit_code, failed.run.job_type) == (2, "cell")
    assert (failed.config["loss"]["temperature"], failed.history) == (-1, [])
    assert [name for name, one in runs.items() if one.exit_code] == ["response-T-1-a0.7-s0"]


def test_a_cell_is_identified_by_its_config_wherever_its_files_are(cell, run_dir):
    config = json.loads((run_dir / "result.json").read_text())["config"]
    elsewhere = {**config, "paths": {"outputs": "/other"}, "tags": ["warm"], "logger": {"csv": True}}
    assert cell.config["fingerprint"] == config_fingerprint(config) == config_fingerprint(elsewhere)
    assert config_fingerprint({**config, "seed": 1}) != config_fingerprint(config)


def test_the_options_of_groups_are_in_its_config(cell):
    assert cell.config["choices"]["loss"] == "response"
    assert cell.config["choices"]["model/teacher"] == "resnet8"
    assert not [name for name in cell.config["choices"] if "." in name or name.startswith("hydra/")]


def test_the_table_has_each_network_with_its_figures(cell, run_dir):
    result = json.loads((run_dir / "result.json").read_text())
    table = cell.table("networks")
    names = figure_names(IMAGE_CLASSIFICATION)
    assert table["columns"] == ["network", *names]
    expected = {role: [result[role][name] for name in names] for role in ("teacher", "baseline", "student")}
    majority = result["references"]["majority class"]["test/accuracy"]
    expected["majority class"] = [majority if name == "test/accuracy" else None for name in names]
    assert {row[0]: row[1:] for row in table["data"]} == expected


def test_the_export_of_a_run_is_in_the_summary_in_a_few_figures():
    recommended = {"artifact": "resnet8.onnx", "engine": "onnxruntime", "p50": 0.001, "size_bytes": 300}
    result = {
        "gain": 1.0,
        "export": {"recommended": recommended, "within_budget": True, "complete": True, "refused": {}},
    }
    assert figures(result) == {
        "gain": 1.0,
        "export": {"recommended": recommended, "within_budget": True, "complete": True},
    }
    assert figures({"gain": 1.0}) == {"gain": 1.0}


def test_the_confusion_matrix_is_that_of_the_students_predictions(cell, run_dir):
    tensors = safetensors.numpy.load_file(run_dir / "student" / "predictions.safetensors")
    expected = confusion_matrix(tensors["targets"], tensors["logits"].argmax(-1), labels=range(10))
    rows = cell.table("confusion_table")["data"]
    assert [[int(actual), int(predicted)] for actual, predicted, _ in rows] == [
        [i, j] for i in range(10) for j in range(10)
    ]
    assert [count for *_, count in rows] == expected.ravel().tolist()


def test_the_reliability_lines_are_those_of_all_networks(cell, run_dir):
    found = {}
    for confidence, role, accuracy in cell.table("reliability_table")["data"]:
        found.setdefault(role, []).append((confidence, accuracy))
    assert found.pop("exact") == [(0, 0), (1, 1)]
    assert set(found) == {"teacher", "baseline", "student"}
    for role, line in found.items():
        np.testing.assert_allclose(line, reliability_by_hand(run_dir / role), rtol=1e-5)


def reliability_by_hand(stage: Path):
    tensors = safetensors.numpy.load_file(stage / "predictions.safetensors")
    shares = np.exp(tensors["logits"].astype(np.float64))
    confidence = (shares / shares.sum(-1, keepdims=True)).max(-1)
    right = tensors["logits"].argmax(-1) == tensors["targets"]
    inside_bin = [(confidence >= low / 15) & (confidence < (low + 1) / 15) for low in range(15)]
    return [(confidence[inside].mean(), right[inside].mean()) for inside in inside_bin if inside.any()]


def test_each_trained_network_is_an_artifact_with_its_teachers_in_the_metadata(runs, run_dir):
    (model,) = runs["student-resnet8-s0"].artifacts.values()
    folder = (run_dir / "student").resolve()
    assert (model.name, model.type) == (f"student-resnet8-{folder.name[:8]}", "model")
    assert sorted(model.aliases) == sorted(["latest", "s0", folder.name])
    teacher = f"teacher-resnet8-{(run_dir / 'teacher').resolve().name[:8]}"
    assert json.loads(model.metadata)["teachers"] == [teacher]
    assert list(runs["teacher-resnet8-s0"].artifacts) == [teacher]
    content = {name: (folder / name).read_bytes() for name in ("student.safetensors", "config.yaml")}
    sums = {name: base64.b64encode(hashlib.md5(data).digest()).decode() for name, data in content.items()}
    assert {file.path: file.digest for file in model.manifest.contents} == sums


def test_the_result_is_an_artifact_of_the_cell(cell, run_dir):
    (result,) = [one for one in cell.artifacts.values() if one.type == "result"]
    assert result.name == f"result-{run_dir.name}"
    assert [file.local_path for file in result.manifest.contents] == [str(run_dir / "result.json")]


def test_a_stage_ends_with_its_figures_on_the_test_set(runs, run_dir):
    figures = json.loads((run_dir / "student" / "result.json").read_text())
    summary = runs["student-resnet8-s0"].summary
    assert {name: summary[name] for name in ("test/accuracy", "test/nll", "params")}.items() <= figures.items()


def test_a_stage_that_was_stopped_brings_its_history_along_when_it_is_resumed(tmp_path, monkeypatch):
    arguments = [*TINY, "loss=ce", "epochs=3", "logger=wandb", "logger.artifacts=false", f"paths.outputs={tmp_path}"]
    add = History.add

    def stop_in_the_second_epoch(history, row):
        added = add(history, row)
        if len(history.rows) == 2:
            raise Interrupted("enough")
        return added

    monkeypatch.setattr(History, "add", stop_in_the_second_epoch)
    assert run(train, arguments) == 130
    (stopped,) = [one for one in offline_runs(tmp_path) if one.run.job_type == "stage"]
    monkeypatch.undo()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert run(train, arguments) == 0
    (resumed,) = [one for one in offline_runs(tmp_path) if one.run.job_type == "stage"]
    assert (stopped.run.run_id, stopped.exit_code, resumed.exit_code) == (resumed.run.run_id, 255, 0)
    assert [row["step"] for row in resumed.history] == [3, 6, 9]
    assert resumed.history[0] == stopped.history[0]

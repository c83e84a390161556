"""Runs with an export: what they leave, beside the same run without one; sweeps of exports; Python."""

import csv
import json
import os
import signal
import sys

import pytest

import kdlab
from kdlab import export
from kdlab.errors import BadInput, JobFailed
from kdlab.runtime import exported_run
from kdlab.runtime.exported_run import settings_of
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.commands import start
from tests.small import TINY, tiny_plan

MEASURED = ["export.artifacts=[onnx]", "export.measure.rounds=1", "export.measure.batches=[1]"]
EXPORT = ["baseline=false", "export=onnx", *MEASURED]
BUDGETS = "export.max_latency_ms=1e-6,1000"  # none meets the first


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A run without an export, and a sweep of two exports of it."""
    folder = tmp_path_factory.mktemp("outputs")
    assert run(train, [*TINY, "baseline=false", f"paths.outputs={folder}"]) == 0
    assert run(train, ["-m", *TINY, *EXPORT, BUDGETS, f"paths.outputs={folder}"]) == 0
    return folder


def results(outputs):
    """By the budget, which is None without an export."""
    return {one["config"].get("export", {}).get("max_latency_ms"): (folder, one) for folder, one in _finished(outputs)}


def test_each_export_has_a_directory_of_its_own_and_all_share_their_stages(outputs):
    found = results(outputs)
    assert set(found) == {None, 1e-6, 1000}
    stages = {tuple(stage["fingerprint"] for stage in one["stages"]) for _, one in found.values()}
    assert len(stages) == 1
    assert all(stage["reused"] for budget in (1e-6, 1000) for stage in found[budget][1]["stages"])
    assert "export" not in found[None][1]


def test_the_summary_repeats_what_the_folder_of_the_export_has(outputs):
    folder, result = results(outputs)[1000]
    summary = result["export"]
    exported = json.loads((folder / summary["folder"] / "result.json").read_text())
    best = exported["recommended"]
    (row,) = [one for one in exported["latency"] if one["name"] == "resnet8.onnx"]
    assert (best["artifact"], best["p50"]) == ("resnet8.onnx", row["p50"])
    kept = ("artifact", "engine", "p50", "batch", "threads", "size_bytes")
    assert [summary["recommended"][name] for name in kept] == [best[name] for name in kept]
    assert summary["recommended"]["test/accuracy"] == pytest.approx(result["student"]["test/accuracy"])
    assert (summary["within_budget"], summary["complete"]) == (True, True)
    file = folder / summary["folder"] / "resnet8.onnx"
    assert file.stat().st_size == summary["recommended"]["size_bytes"]


def test_an_export_over_budget_is_a_finding_of_a_sweep_and_fails_a_single_run(outputs, capfd):
    (sweep,) = outputs.glob("sweep-*")
    cells = [json.loads(path.read_text()) for path in sorted(sweep.glob("cells/*.json"))]
    assert [(cell["status"], cell["exit_code"]) for cell in cells] == [("finished", 0)] * 2
    with (sweep / "report" / "cells.csv").open(newline="") as file:
        rows = {row["export.max_latency_ms"]: row for row in csv.DictReader(file)}
    assert {budget: row["within_budget"] for budget, row in rows.items()} == {"1e-06": "False", "1000": "True"}
    folder, result = results(outputs)[1e-6]
    arguments = [*TINY, *EXPORT, "export.max_latency_ms=1e-6", f"paths.outputs={outputs}"]
    assert run(train, arguments) == 1
    printed = capfd.readouterr().out
    assert "over budget: resnet8.onnx in onnxruntime:" in printed
    assert "No artifact meets the budgets" in printed
    again = json.loads((folder / "result.json").read_text())
    assert again["export"] == result["export"]  # measured once
    assert again["status"] == "finished"


def test_wrong_settings_are_refused_before_anything_trains(tmp_path, capfd):
    for wrong, message in (
        ("export.max_drop=-1", "export.max_drop must be a number"),
        ("export.measure.rounds=0", "export.measure takes whole numbers"),
    ):
        assert run(train, [*TINY, *EXPORT, wrong, f"paths.outputs={tmp_path}"]) == 2
        assert message in capfd.readouterr().err
    assert not list(tmp_path.glob("store/*/config.yaml"))


def test_wrong_settings_without_hydra_are_refused_too():
    assert settings_of({}) is settings_of({"export": None}) is None
    with pytest.raises(
        BadInput, match=r"export\.max_latency is not a setting, .* Did you mean export\.max_latency_ms\?"
    ):
        settings_of({"export": {"max_latency": 1}})
    with pytest.raises(BadInput, match=r"export must be an option of its group, got 'onnx'\. .*export=onnx"):
        settings_of({"export": "onnx"})


def test_an_exporter_that_refuses_the_network_loses_no_training(outputs, monkeypatch, capfd):
    def refuse(*_):
        raise JobFailed("Export resnet8.onnx: the exporter lacks aten::fft")

    monkeypatch.setattr(exported_run, "run_export", refuse)
    arguments = [*TINY, *EXPORT, "export.max_size_mb=1", f"paths.outputs={outputs}"]
    before = set(outputs.glob("response-*"))
    assert run(train, arguments) == 1
    assert "not exported: Export resnet8.onnx: the exporter lacks aten::fft" in capfd.readouterr().out
    (folder,) = set(outputs.glob("response-*")) - before
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["export"] == {"error": "Export resnet8.onnx: the exporter lacks aten::fft", "complete": False}


def test_a_plan_with_an_export_exports_from_python_too(outputs, tmp_path):
    plan = tiny_plan(*EXPORT)
    result = kdlab.run(plan, store=outputs / "store", run_dir=tmp_path / "run")
    assert (tmp_path / "run" / result["export"]["folder"] / "resnet8.onnx").is_file()
    assert plan.fingerprint != tiny_plan("baseline=false").fingerprint
    assert kdlab.run(plan, store=outputs / "store")["export"] == {**result["export"], "folder": None}


def test_a_run_killed_while_it_exports_goes_on(outputs):
    """Nothing is trained, written or measured again."""
    arguments = [*TINY, *EXPORT, "export.measure.rounds=2", "export.opset=21"]
    process = start(outputs, arguments)
    rounds = None
    while process.poll() is None and rounds is None:
        rounds = next((one for one in outputs.glob("store/*/rounds.jsonl") if _rows(one) == 1), None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert rounds, "it ended before it was killed"
    first = rounds.read_text().splitlines()[0]
    assert run(train, [*arguments, f"paths.outputs={outputs}"]) == 0
    assert rounds.read_text().splitlines()[0] == first
    (found,) = [each for each in _finished(outputs) if each[1]["config"].get("export", {}).get("opset") == 21]
    folder, result = found
    exported = json.loads((folder / result["export"]["folder"] / "result.json").read_text())
    reused = {stage["name"]: stage["reused"] for stage in (*result["stages"], *exported["stages"])}
    assert not reused.pop("latency")
    assert all(reused.values())


def _rows(log):
    return log.read_text().count("\n")


def _finished(outputs):
    found = ((path.parent, json.loads(path.read_text())) for path in outputs.glob("response-*/result.json"))
    return [(folder, one) for folder, one in found if one["status"] == "finished"]


@pytest.mark.parametrize("typed", [["-m", "export.opset=20"], ["export.calibration_samples=64,256"]])
def test_the_export_command_names_the_sweep_that_it_does_not_do(typed, outputs, monkeypatch, capfd):
    run_dir, _ = results(outputs)[None]
    monkeypatch.setattr(sys, "argv", ["export", str(run_dir), *typed])
    assert export.main() == 2
    command = capfd.readouterr().err.strip().splitlines()[-1].strip()
    start, end = "python -m kdlab.train -m hardware=cpu", f"export=onnx {typed[-1]}"
    assert (command[: len(start)], command[-len(end) :]) == (start, end)

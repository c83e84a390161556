"""Sweeps that are killed, that have broken cells, and whose cells share a process."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.commands import finish, start
from tests.small import TINY

SEED = 31
GRID = ["loss.temperature=2,4,6,8", "loss.alpha=0.5,0.7,0.9"]
SHORT = pytest.param(3, [*TINY, "seed=0,1"], id="3 kills of a tiny sweep")
LONG = pytest.param(15, GRID, id="15 kills of 12 cells", marks=pytest.mark.real_data)


def students(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The student of every run."""
    found = {path.parent.parent.name: path for path in folder.glob("response-*/student/student.safetensors")}
    return {run: safetensors.torch.load_file(path) for run, path in found.items()}


def completions(folder: Path) -> dict[str, int]:
    """When each stage was finished: a stage that is trained again would have another time."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("store/*/result.json")}


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in folder.glob("sweep-*/cells/*.json")]


@pytest.mark.parametrize(("kills", "overrides"), [SHORT, LONG])
def test_sigkill_of_a_whole_sweep_changes_nothing_but_time(kills, overrides, tmp_path):
    began = time.monotonic()
    finish(start(tmp_path / "undisturbed", ["hardware.threads=1", *overrides], "-m"))
    duration = time.monotonic() - began
    moments, killed, done = random.Random(SEED), tmp_path / "killed", {}
    for _ in range(kills):
        process = start(killed, ["hardware.threads=1", *overrides], "-m")
        time.sleep(moments.uniform(0.1, 0.5) * min(duration, 60))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        still = completions(killed)
        assert done.items() <= still.items(), "a finished stage was trained again"
        done = still
    finish(start(killed, ["hardware.threads=1", *overrides], "-m"))
    assert done.items() <= completions(killed).items()
    assert len(completions(killed)) == len(completions(tmp_path / "undisturbed"))
    expected, found = students(tmp_path / "undisturbed"), students(killed)
    assert expected.keys() == found.keys()
    for run_name, weights in expected.items():
        torch.testing.assert_close(found[run_name], weights, rtol=0, atol=0)
    assert {record["status"] for record in records(killed)} == {"finished"}


def test_three_broken_cells_of_twelve_leave_nine_results_and_exit_code_1(tmp_path, capsys):
    overrides = [*TINY, f"paths.outputs={tmp_path}", "loss.temperature=2,4,6,-1", "loss.alpha=0.5,0.7,0.9"]
    assert run(train, ["-m", *overrides]) == 1
    said = capsys.readouterr().out
    assert "9 of 12 cells finished" in said
    assert said.count("failed: loss.temperature=-1 loss.alpha=") == 3
    (page,) = tmp_path.glob("sweep-*/report/index.html")
    assert page.read_text().count("loss.temperature must be above 0, got -1") == 3
    assert str(page) in said
    assert len(students(tmp_path)) == 9
    assert len(list(tmp_path.glob("store/*/result.json"))) == 9 + 2  # one teacher, one baseline
    status = [record["status"] for record in sorted(records(tmp_path), key=lambda record: record["cell"])]
    assert status == ["finished"] * 9 + ["failed"] * 3


def test_the_same_cell_first_and_last_in_one_process_has_the_same_bits(tmp_path):
    overrides = [*TINY, "model.student.kwargs.dropout=0.2", f"paths.outputs={tmp_path}"]
    for store, grid in (("first", "3,5"), ("last", "5,3")):
        assert run(train, ["-m", *overrides, f"paths.store={tmp_path}/{store}", f"loss.temperature={grid}"]) == 0
    for stage in sorted(path.name for path in (tmp_path / "first").iterdir() if (path / "last.ckpt").is_file()):
        first, last = (
            safetensors.torch.load_file(tmp_path / store / stage / "student.safetensors") for store in ("first", "last")
        )
        torch.testing.assert_close(first, last, rtol=0, atol=0)


def test_a_sweep_asked_again_reuses_every_stage_and_keeps_one_folder(tmp_path, capsys):
    command = ["-m", *TINY, f"paths.outputs={tmp_path}", "loss.temperature=2,4"]
    assert run(train, command) == 0
    before = completions(tmp_path)
    capsys.readouterr()
    assert run(train, command) == 0
    assert completions(tmp_path) == before
    assert " trained " not in capsys.readouterr().out
    assert len(list(tmp_path.glob("sweep-*"))) == 1
    assert {record["trained"] for record in records(tmp_path)} == {0}


def test_a_report_that_cannot_be_written_costs_the_sweep_nothing(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError("half a page")

    monkeypatch.setattr("kdlab.reporting.report.report", broken)
    assert run(train, ["-m", *TINY, f"paths.outputs={tmp_path}", "seed=0,1"]) == 0
    assert "The report was not written" in caplog.text

"""Sweeps that are killed, that have broken cells, and whose cells share a process."""

import json
import os
import random
import shutil
import signal
import subprocess
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
SHORT = pytest.param(["all"] * 2, [*TINY, "seed=0,1"], id="2 kills of a tiny sweep")
PARALLEL = pytest.param(
    ["all", "worker", "parent"] * 4,
    ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *GRID],
    id="12 kills of 12 parallel cells, of parent and workers",
    marks=pytest.mark.real_data,
)


def students(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The student of every run."""
    found = {path.parent.parent.name: path for path in folder.glob("response-*/student/student.safetensors")}
    return {run: safetensors.torch.load_file(path) for run, path in found.items()}


def completions(folder: Path) -> dict[str, int]:
    """When each stage was finished: a stage that is trained again would have another time."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("store/*/result.json")}


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in folder.glob("sweep-*/cells/*.json")]


def workers(folder: Path, parent: int) -> list[int]:
    """Processes other than the parent that train a cell now."""
    return [record["pid"] for record in records(folder) if record["status"] == "running" and record["pid"] != parent]


def kill(victim: str, process: subprocess.Popen, folder: Path) -> bool:
    """Ends a part of a sweep at once; False where the rest goes on by itself."""
    if victim == "worker" and (pids := workers(folder, process.pid)):
        os.kill(pids[0], signal.SIGKILL)
        return False
    if victim == "parent":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def assert_same_sweep(found: Path, expected: Path) -> None:
    assert len(completions(found)) == len(completions(expected))
    networks = students(expected)
    assert students(found).keys() == networks.keys()
    for run_name, weights in students(found).items():
        torch.testing.assert_close(weights, networks[run_name], rtol=0, atol=0)
    assert {record["status"] for record in records(found)} == {"finished"}


@pytest.mark.parametrize(("victims", "overrides"), [SHORT, PARALLEL])
def test_sigkill_of_a_sweep_or_of_parts_of_it_changes_nothing_but_time(victims, overrides, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    began = time.monotonic()
    finish(start(undisturbed, ["hardware.threads=1", *overrides], "-m"))
    duration = time.monotonic() - began
    moments, done, process, ended = random.Random(SEED), {}, None, []
    left = list(victims)
    while left:
        if process is None:
            began, process = time.monotonic(), start(killed, ["hardware.threads=1", *overrides], "-m")
        try:
            output, _ = process.communicate(timeout=moments.uniform(0.1, 0.5) * min(duration, 60))
        except subprocess.TimeoutExpired:
            still = completions(killed)
            assert done.items() <= still.items(), "a finished stage was trained again"
            done = still
            if kill(left.pop(), process, killed):
                ended.append(process)  # its workers may go on for a while, and write to what it wrote to
                process = None
        else:  # it was done before: a kill has to hit a sweep that trains
            assert process.returncode == 0, output
            assert_same_sweep(killed, undisturbed)
            shutil.rmtree(killed)
            done, process = {}, None
            duration = min(duration, time.monotonic() - began)  # the machine is less busy than it was
    if process:
        finish(process)
    else:
        assert run(train, ["-m", "hardware.threads=1", *overrides, f"paths.outputs={killed}"]) == 0
    assert done.items() <= completions(killed).items()
    assert_same_sweep(killed, undisturbed)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    process = start(tmp_path, [*TINY, *launcher, "baseline=false", "epochs=10000", "seed=0,1"], "-m")
    while len(pids := workers(tmp_path, process.pid)) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for pid in pids:
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, "a worker goes on without its parent"
            time.sleep(0.1)


def test_three_broken_cells_of_twelve_leave_nine_results_and_exit_code_1(tmp_path, capsys):
    overrides = [*TINY, f"paths.outputs={tmp_path}", "loss.temperature=2,4,6,-1", "loss.alpha=0.5,0.7,0.9"]
    assert run(train, ["-m", *overrides]) == 1
    output = capsys.readouterr().out
    assert "9 of 12 cells finished" in output
    assert output.count("failed: loss.temperature=-1 loss.alpha=") == 3
    (page,) = tmp_path.glob("sweep-*/report/index.html")
    assert page.read_text().count("loss.temperature must be above 0, got -1") == 3
    assert str(page) in output
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


def test_the_same_sweep_again_reuses_every_stage_and_keeps_one_folder(tmp_path, capsys):
    command = ["-m", *TINY, f"paths.outputs={tmp_path}", "loss.temperature=2,4"]
    assert run(train, command) == 0
    before = completions(tmp_path)
    capsys.readouterr()
    assert run(train, command) == 0
    assert completions(tmp_path) == before
    assert " trained " not in capsys.readouterr().out
    assert len(list(tmp_path.glob("sweep-*"))) == 1
    assert {record["trained"] for record in records(tmp_path)} == {0}


def test_a_report_that_cannot_be_written_does_not_fail_the_sweep(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError("half a page")

    monkeypatch.setattr("kdlab.reporting.report.report", broken)
    assert run(train, ["-m", *TINY, f"paths.outputs={tmp_path}", "seed=0,1"]) == 0
    assert "The report was not written" in caplog.text

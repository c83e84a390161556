"""The whole command killed at random moments and run again, and two copies of it at once."""

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

SEED = 20
LONG = pytest.param(20, (0.1, 0.6), [], id="20 kills of the demo", marks=pytest.mark.real_data)
LONG_DROPOUT = pytest.param(
    20,
    (0.1, 0.6),
    ["model.student.kwargs.dropout=0.2"],
    id="20 kills of the demo with dropout",
    marks=pytest.mark.real_data,
)
SHORT = pytest.param(  # half of its time is imports
    2, (0.5, 0.8), [*TINY, "model.student.kwargs.dropout=0.2"], id="2 kills of a tiny run with dropout"
)


def run_of(folder: Path) -> Path:
    (found,) = folder.glob("response-*")
    return found


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run_of(folder) / stage / "student.safetensors")


def history(folder: Path, stage: str) -> list[str]:
    """Rows without the seconds they took."""
    return [line.rpartition(",")[0] for line in (run_of(folder) / stage / "metrics.csv").read_text().splitlines()]


def assert_whole(folder: Path) -> None:
    """Every file that is there can be read."""
    for path in folder.glob("store/*/*"):
        if path.name.startswith("."):
            continue  # a temporary file that its writer could not remove; gone once the stage goes on
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            safetensors.torch.load_file(path)
        elif path.suffix == ".ckpt":
            torch.load(path, weights_only=True)


def finished(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("store/*/result.json")}


def assert_same_run(found: Path, expected: Path) -> None:
    assert not list(found.glob("store/*/.*"))
    for stage in ("teacher", "baseline", "student"):
        torch.testing.assert_close(weights(found, stage), weights(expected, stage), rtol=0, atol=0)
        assert history(found, stage) == history(expected, stage)


@pytest.mark.parametrize(("kills", "shares", "overrides"), [SHORT, LONG, LONG_DROPOUT])
def test_sigkill_at_any_moment_changes_nothing_but_time(kills, shares, overrides, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    began = time.monotonic()
    finish(start(undisturbed, overrides))  # a process like those to be killed: its duration is theirs
    duration = time.monotonic() - began
    moments, done = random.Random(SEED), {}
    while kills:
        began, process = time.monotonic(), start(killed, overrides)
        try:
            output, _ = process.communicate(timeout=moments.uniform(*shares) * duration)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills -= 1
            assert_whole(killed)
        else:  # it was done before: a kill has to hit a run that trains
            assert process.returncode == 0, output
            assert_same_run(killed, undisturbed)
            shutil.rmtree(killed)
            done = {}
            duration = min(duration, time.monotonic() - began)  # the machine is less busy than it was
        still = finished(killed)
        assert done.items() <= still.items(), "a finished stage was trained again"
        done = still
    assert run(train, [*overrides, f"paths.outputs={killed}"]) == 0
    assert done.items() <= finished(killed).items()
    assert_same_run(killed, undisturbed)


def test_two_copies_at_once_train_each_stage_once_and_a_third_reuses_all(tmp_path, capsys):
    copies = [start(tmp_path, TINY) for _ in range(2)]
    outputs = [finish(copy) for copy in copies]
    trained = [
        line.split()[1]
        for output in outputs
        for line in output.splitlines()
        if line.startswith("✓") and " trained " in line
    ]
    assert sorted(trained) == ["baseline", "student", "teacher"]
    assert run(train, [*TINY, f"paths.outputs={tmp_path}"]) == 0
    again = capsys.readouterr().out
    assert " trained " not in again
    assert "nothing was trained" in again


def test_ctrl_c_saves_exits_with_130_and_the_same_command_goes_on(tmp_path):
    overrides = [*TINY, "epochs=60", "baseline=false"]
    process = start(tmp_path, overrides)
    while "✓ teacher" not in (line := process.stdout.readline()):
        assert line, "the command ended early"
    while not any(path.stat().st_size for path in tmp_path.glob("store/*/last.ckpt") if not done(path)):
        assert process.poll() is None, "the command ended before it was interrupted"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "the same command continues" in output
    assert "Traceback" not in output
    assert run(train, [*overrides, f"paths.outputs={tmp_path}"]) == 0
    steps = [row.split(",") for row in history(tmp_path, "student")]
    assert [int(row[steps[0].index("step")]) for row in steps[1:]] == list(range(3, 181, 3))


def done(checkpoint: Path) -> bool:
    return (checkpoint.parent / "result.json").is_file()

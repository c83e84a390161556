"""Saved sweeps are logged to W&B with their report where a key is present; what is typed wins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdlab.config.compose import checked_overrides
from kdlab.sweeps import logged
from kdlab.sweeps.logged import logging_overrides

REPOSITORY = Path(__file__).resolve().parents[2]
SAVED = "+sweeps=temperature"
BOTH = ["logger=wandb", "logger.report=true"]


@pytest.fixture
def with_key(monkeypatch):
    monkeypatch.setattr(logged, "mode", lambda explicit: explicit or "online")


@pytest.mark.parametrize(
    ("typed", "added"),
    [
        ([SAVED], BOTH),
        ([SAVED, "seed=0,1"], BOTH),
        ([SAVED, "logger=wandb"], ["logger.report=true"]),
        ([SAVED, "logger=[wandb,csv]", "logger.project=mine"], ["logger.report=true"]),
        ([SAVED, "logger=wandb", "logger.report=false"], []),
        ([SAVED, "logger=wandb", "logger.mode=offline"], []),
        ([SAVED, "logger=csv"], []),
        (["loss.temperature=2,4"], []),  # not saved
        (["loss.temperature=2,4", "logger=wandb"], []),
    ],
)
def test_a_saved_sweep_gets_what_is_not_typed(with_key, typed, added):
    assert logging_overrides(checked_overrides(typed, multirun=True)) == added


def test_a_single_run_gets_nothing(with_key):
    assert logging_overrides(checked_overrides(["loss.temperature=2"])) == []


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_where_runs_would_not_be_online_nothing_changes(monkeypatch, mode):
    monkeypatch.setattr(logged, "mode", lambda explicit: mode)
    assert logging_overrides(checked_overrides([SAVED], multirun=True)) == []


def shown(folder, *arguments, **variables):
    """The logger of a command, with this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"PYTHONPATH": str(REPOSITORY), "NETRC": str(folder / "netrc"), "WANDB_CONFIG_DIR": str(folder / "settings")}
    command = [sys.executable, "-m", "kdlab.train", *arguments, "--cfg", "job", "--package", "logger"]
    done = subprocess.run(
        command, cwd=folder, env={**kept, **own, **variables}, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_a_key_of_the_environment_or_of_netrc_is_found_and_without_one_nothing_changes(tmp_path):
    assert shown(tmp_path, SAVED) == "csv: true\n"
    with_variable = shown(tmp_path, SAVED, WANDB_API_KEY="k" * 40)
    assert "wandb: true\n" in with_variable and "report: true\n" in with_variable
    assert "wandb" not in shown(tmp_path, SAVED, WANDB_API_KEY="k" * 40, WANDB_MODE="disabled")
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {'k' * 40}\n")
    assert shown(tmp_path, SAVED) == with_variable

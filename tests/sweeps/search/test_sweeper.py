"""`hydra/sweeper=optuna` over a function: which cells run, that killing it changes nothing, what it prints."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from kdlab.errors import BadInput
from kdlab.sweeps.cli import run
from kdlab.sweeps.search.sweeper import OptunaSweeper
from tests.sweeps.search.fake import sampled_by_optuna, search, task, trials

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder():
    (sweep,) = Path("outputs").glob("*/search.journal")
    return sweep.parent


def command(output):
    (line,) = [line for line in output.splitlines() if line.startswith("  python -m kdlab.train ")]
    return shlex.split(line)[3:]


def test_a_killed_search_runs_unfinished_trials_and_samples_like_an_undisturbed_one(here):
    (here / "kill-3").touch()
    arguments = ["hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2"]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.sweeps.search.fake", *arguments],
        env={"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert [state for *_, state, _ in trials(folder())] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING] * 2
    assert search(*arguments) == 0
    assert trials(folder()) == sampled_by_optuna(4, 2, seed=0)
    assert (here / "called").read_text().split() == ["0", "1", "2", "3"]


def test_workers_run_the_trials_of_a_batch_side_by_side(here):
    assert search("hydra.sweeper.n_trials=2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2") == 0
    assert trials(folder()) == sampled_by_optuna(2, 2, seed=0)
    assert len({json.loads(path.read_text())["pid"] for path in folder().glob("cells/*.json")}) == 2


def test_failed_cells_are_run_again_and_the_best_cells_command_is_printed_last(here, capsys):
    (here / "fail-1").touch()
    more = ["data.batch_size=16", "baseline=false", "+trainer.accumulate_grad_batches=2"]
    assert search("hydra.sweeper.n_trials=2", *more) == 1
    assert "The best of the trials (1 finished, 1 failed) is cell 1," in capsys.readouterr().out
    (here / "fail-1").unlink()
    assert search("hydra.sweeper.n_trials=2", *more) == 0
    assert (here / "called").read_text().split() == ["0", "1"]
    assert trials(folder()) == sampled_by_optuna(2, 1, seed=0)
    output, (number, values, _, reached) = capsys.readouterr().out, max(trials(folder()), key=lambda trial: trial[3])
    assert f"The best of the trials (2 finished) is cell {number + 1}, val/accuracy {reached:.2f}:" in output
    assert "2 of 2 cells finished" in output
    fixed = ["data.batch_size=16", "trainer.accumulate_grad_batches=2"]
    assert command(output) == [*fixed, *(f"{name}={value}" for name, value in values.items())]


def test_the_settings_of_a_search_file_are_in_the_printed_command_too(here, capsys):
    (here / "sweeps").mkdir()
    (here / "sweeps" / "mine.yaml").write_text(
        "# Which?\ndefaults: [{override /hydra/sweeper: optuna}, {override /optimizer: adamw}]\nbaseline: false\n"
        "epochs: 7\nloss: {temperature: 3}\ntags: [one, two]\nhydra: {mode: MULTIRUN, sweeper: {n_trials: 1, params: "
        "{optimizer.lr: 'tag(log, interval(1e-4, 1))'}}}\n"
    )
    assert run(task, ["+sweeps=mine", "seed=3"]) == 0
    ((_, values, *_),) = trials(folder())
    words = command(capsys.readouterr().out)
    assert words[:2] == ["seed=3", "optimizer=adamw"]
    assert set(words[2:]) == {
        "epochs=7",
        "loss.temperature=3",
        "tags=[one,two]",
        f"optimizer.lr={values['optimizer.lr']}",
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hydra.sweeper.n_trails=3"], "hydra.sweeper.n_trails is not a setting. Did you mean hydra.sweeper.n_trials?"),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be a whole number, 1 or more; got 0."),
        (
            ["data.val_fraction=0"],
            "chooses on val/accuracy, so data.val_fraction must be above 0, got 0. Set data.val_f",
        ),
        (["experiment=digits_converged,cifar100_benchmark"], "data.val_fraction must be above 0, got 0.0."),
    ],
)
def test_bad_input_is_refused_before_a_cell_runs(here, arguments, text, capsys):
    assert search(*arguments) == 2
    assert text in capsys.readouterr().err
    assert not (here / "called").exists()


def test_without_optuna_the_error_shows_how_to_install_it(monkeypatch):
    monkeypatch.setattr("kdlab.sweeps.search.sweeper.importlib.util.find_spec", lambda name: None)
    sweeper = OptunaSweeper(n_trials=1, n_jobs=None, seed=0, random_trials=1, pruning={})
    with pytest.raises(BadInput, match=r"optuna is not installed\. Install it with: pip install 'kdlab\[search\]'"):
        sweeper.sweep([])

"""A search over a function in place of trainings: `python -m tests.sweeps.search.fake ARGUMENTS` in its own folder.

A file `kill-3` in that folder kills the process in cell 3, once; `fail-3` makes the cell fail, as long as it is there.
"""

import json
import os
import signal
import sys
from pathlib import Path

import optuna
from hydra.core.hydra_config import HydraConfig

from kdlab.errors import BadInput
from kdlab.jobs.training.history import write_history
from kdlab.sweeps.cell import note_run
from kdlab.sweeps.cli import run
from kdlab.sweeps.search.journal import open_study
from kdlab.sweeps.search.study import trial_seed

SPACE = ["loss.temperature=interval(1,16)", "epochs=range(5,50,5)", "loss=response,standardised_kd"]
SEARCH = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.random_trials=2", *SPACE]


def height(temperature, epochs, loss):
    """The objective: a hill at temperature 4 and 30 epochs."""
    return 90.0 - abs(temperature - 4.0) - abs(epochs - 30) / 10 - 2.0 * (loss == "response")


def task(cfg):
    number = HydraConfig.get().job.num
    if Path(f"fail-{number}").exists():
        raise BadInput("the test asked for a failure")
    if Path(f"kill-{number}").exists():
        Path(f"kill-{number}").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    with Path("called").open("a") as file:
        file.write(f"{number}\n")
    reached = height(cfg.loss.temperature, cfg.epochs, HydraConfig.get().runtime.choices.loss)
    folder = Path(cfg.paths.outputs) / f"run-{number}"
    write_run(folder, reached)
    note_run(folder)


def write_run(folder, reached):
    """Writes the files of a run that a search reads."""
    (folder / "student").mkdir(parents=True, exist_ok=True)
    write_history(folder / "student" / "metrics.csv", [{"epoch": 1, "step": 3, "val/accuracy": reached - 1.0}])
    student = {"val/accuracy": reached, "test/accuracy": 0.0}
    (folder / "result.json").write_text(json.dumps({"student": student, "gain": None}))


def search(*arguments):
    return run(task, [*SEARCH, *arguments])


def trials(folder):
    """The trials in the journal of a sweep's folder, by number."""
    return [(trial.number, trial.params, trial.state, trial.value) for trial in open_study(folder).get_trials()]


def sampled_by_optuna(count, size, seed):
    """The same search in plain optuna: in memory, by its ask-and-tell interface."""
    study = optuna.create_study(direction="maximize")
    for first in range(0, count, size):
        begun = []
        for number in range(first, min(first + size, count)):
            own = trial_seed(seed, number)
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=2, constant_liar=True, seed=own)
            begun.append(study.ask())
            begun[-1].suggest_float("loss.temperature", 1, 16)
            begun[-1].suggest_int("epochs", 5, 45, step=5)
            begun[-1].suggest_categorical("loss", ["response", "standardised_kd"])
        for trial in begun:
            study.tell(trial, height(*trial.params.values()))
    return [(trial.number, trial.params, trial.state, trial.value) for trial in study.trials]


if __name__ == "__main__":
    sys.exit(search(*sys.argv[1:]))

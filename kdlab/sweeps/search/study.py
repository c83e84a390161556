"""A search as an optuna study: the next trials, their results, the best one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from kdlab.errors import BadInput
from kdlab.jobs.training.history import Row, read_history
from kdlab.runtime.sweep_records import Cell
from kdlab.sweeps.search.journal import Direction, open_study, reopen
from kdlab.sweeps.search.space import Space
from kdlab.tasks.description import Description


@dataclass(frozen=True)
class Search:
    """The study in a sweep's folder, for the one process that samples trials.

    Args:
        folder: the sweep's.
        study: optuna's.
        space: what varies.
        seed: of the sampler.
        random_trials: how many are sampled at random before the space is modelled.
        task: defines the objective and its direction.
    """

    folder: Path
    study: Study
    space: Space
    seed: int
    random_trials: int
    task: Description

    @classmethod
    def begin(
        cls, folder: Path, space: Space, fixed: str, *, seed: int, random_trials: int, task: Description
    ) -> "Search":
        """Continues the search in a folder, or begins one.

        Args:
            folder: the sweep's.
            space: what varies.
            fixed: fingerprint of the settings that all trials share.
            seed: of the sampler.
            random_trials: see `Search`.
            task: see `Search`.

        Raises:
            BadInput: the folder has another search.
        """
        direction: Direction = "maximize" if task.headline.higher_is_better else "minimize"
        reopen(folder, space.written, direction)
        study = open_study(folder, direction=direction)
        varied = [f"{name}={distribution}" for name, distribution in space.distributions.items()]
        _check_same(study, {"varied": varied, "fixed": fixed})
        return cls(folder, study, space, seed, random_trials, task)

    def next_batch(self, size: int, total: int) -> list[FrozenTrial]:
        """The trials to run now: those that were begun and not ended, and new ones until the batch is full.

        A batch goes from one multiple of its size to the next, also if the search was killed in between.
        """
        begun = self._trials(TrialState.RUNNING)
        count = len(self._trials())
        end = ((begun[-1].number if begun else count) // size + 1) * size
        return begun + [self._sample(number) for number in range(count, min(end, total))]

    def conclude(self, number: int, cell: Cell | None) -> None:
        """Ends a trial as its cell ended.

        Raises:
            BadInput: the student has no value of the objective.
        """
        if cell is None or cell.status not in ("finished", "stopped"):
            self.study.tell(number, state=TrialState.FAIL)
        elif cell.status == "stopped":
            self.study.tell(number, state=TrialState.PRUNED)
        else:
            self._complete(number, self.folder / str(cell.run))

    @property
    def best(self) -> FrozenTrial | None:
        """The best of the finished trials; of equals the first."""
        return self.study.best_trial if self._trials(TrialState.COMPLETE) else None

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return len(self._trials(state))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _sample(self, number: int) -> FrozenTrial:
        seed = trial_seed(self.seed, number)
        self.study.sampler = TPESampler(n_startup_trials=self.random_trials, constant_liar=True, seed=seed)
        self.study.ask(dict(self.space.distributions))
        return self._trials()[number]

    def _complete(self, number: int, run: Path) -> None:
        """Reports every epoch, also of a student that was in the store already: others are compared with it."""
        student = json.loads((run / "result.json").read_text())["student"]
        objective = self.task.objective
        if objective not in student:
            raise BadInput(f"hydra/sweeper=optuna chooses on {objective}, and {run}/result.json has none.")
        trial = open_trial(self.study, number)
        for row in read_history(run / "student" / "metrics.csv"):
            report(trial, row, objective)
        self.study.tell(number, student[objective])


def trial_seed(seed: int, number: int) -> int:
    """A seed of its own for each trial, 32 bits."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def pruner_of(pruning: Mapping[str, Any]) -> BasePruner:
    """Optuna's pruner for `hydra.sweeper.pruning`."""
    if not pruning["enabled"]:
        return NopPruner()
    return MedianPruner(n_startup_trials=pruning["n_startup_trials"], n_warmup_steps=pruning["n_warmup_epochs"])


def open_trial(study: Study, number: int) -> Trial:
    """A running trial by its number, to report to."""
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def report(trial: Trial, row: Row, objective: str) -> None:
    """Reports the objective after an epoch to a trial, unless it has it."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    if objective in row and int(row["epoch"]) not in known:
        trial.report(row[objective], int(row["epoch"]))


def _check_same(study: Study, settings: Mapping[str, Any]) -> None:
    before = study.user_attrs.get("asked")
    if before is None:
        study.set_user_attr("asked", dict(settings))
    elif before["varied"] != settings["varied"]:
        was, now = (" ".join(varied) for varied in (before["varied"], settings["varied"]))
        raise BadInput(f"hydra.sweep.dir has another search in it, of {was}; got {now}. Choose another folder.")
    elif before != settings:
        raise BadInput("hydra.sweep.dir has a search with other fixed settings in it. Choose another folder.")

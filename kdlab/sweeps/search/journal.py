"""The study of a search as a file: several processes read it, and killing any of them does not damage it."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import optuna
from filelock import FileLock, Timeout
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from kdlab.errors import BadInput

Direction = Literal["maximize", "minimize"]
JOURNAL = "search.journal"
NAME = "search"


@contextmanager
def search_lock(folder: Path) -> Iterator[None]:
    """The lock of a search: one process at a time samples trials.

    Raises:
        BadInput: another process holds it.
    """
    lock = FileLock(folder / "search.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInput(f"hydra.sweep.dir: another process runs this search, in {folder}. Wait until it ends.") from None
    try:
        yield
    finally:
        lock.release()


def open_study(folder: Path, pruner: BasePruner | None = None, *, direction: Direction = "maximize") -> Study:
    """The study in a sweep's folder; creates one if there is none.

    The lock is the operating system's, so a killed process leaves none behind; a last line that a full disk cut short
    is dropped.

    Args:
        folder: the sweep's.
        pruner: of the study.
        direction: of a new study: `maximize` or `minimize`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / JOURNAL
    lock = FileLock(f"{path}.lock")
    with lock:
        _drop_torn_line(path)
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=cast(Any, lock)))
    if not path.stat().st_size:
        return optuna.create_study(storage=storage, study_name=NAME, direction=direction, pruner=pruner)
    return optuna.load_study(storage=storage, study_name=NAME, pruner=pruner)


def reopen(folder: Path, names: Collection[str], direction: Direction) -> None:
    """Sets failed trials to running again, and drops one that was killed before it had a value for every name.

    Optuna cannot resume an ended trial, so a new journal is written and replaces the old one. To be called with the
    search lock held, while no cell runs.
    """
    old = open_study(folder, direction=direction)
    trials = old.get_trials()
    whole = [trial for trial in trials if set(trial.params) == set(names)]
    if len(whole) == len(trials) and all(trial.state != TrialState.FAIL for trial in trials):
        return
    draft = folder / f".{JOURNAL}"
    draft.mkdir(exist_ok=True)
    (draft / JOURNAL).unlink(missing_ok=True)
    new = open_study(draft, direction=direction)
    for name, value in old.user_attrs.items():
        new.set_user_attr(name, value)
    new.add_trials(
        create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
        if trial.state == TrialState.FAIL
        else trial
        for trial in whole
    )
    (draft / JOURNAL).replace(folder / JOURNAL)


def _drop_torn_line(path: Path) -> None:
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)

"""A student's training as the train command runs it, from overrides to steps, with callbacks."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback

import kdlab
from kdlab.benchmarking.rounds import Rounds
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.loop import train
from kdlab.runtime.logs import quiet_screen
from kdlab.store.store import Store

FOLDER = str(Path(__file__).parent / "conf")
"""The config options that only the benchmark uses."""


class RoundsCallback(Callback):
    """Runs a Trainer's steps in rounds.

    It waits where a step ends, before Lightning calls the checkpoint callbacks: a checkpoint that is due after the
    wait is part of the untimed step.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds

    def on_train_batch_end(self, *_: object) -> None:
        self._rounds.step_done()


def train_student(overrides: Sequence[str], cache: Path, callbacks: Sequence[Callback] = ()) -> None:
    """Trains the student of a run; its teachers are finished in the store.

    Args:
        overrides: of the run; no other run writes to its `paths.outputs`.
        cache: the folder of its teachers' cached outputs, in place of the store's.
        callbacks: of the training.
    """
    quiet_screen()
    plan = kdlab.plan(overrides, config_dir=FOLDER)
    student, paths = plan.student, plan.config["paths"]
    store, folder = Store(paths["store"]), Path(paths["outputs"])
    folder.mkdir(parents=True, exist_ok=True)
    teachers = [store.folder(teacher) for teacher, _ in student.teachers]
    train(student, folder, teachers, cache_specs(student, store.root, cache), callbacks=callbacks)

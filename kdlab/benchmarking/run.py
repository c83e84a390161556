"""A student's training as the train command does it, from overrides to steps, that can be watched."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback

import kdlab
from kdlab.benchmarking.turns import Turns
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.loop import train
from kdlab.runtime.logs import quiet_screen
from kdlab.store.store import Store

FOLDER = str(Path(__file__).parent / "conf")
"""Of the config options that only measuring needs."""


class TakesTurns(Callback):
    """Has a Trainer take turns.

    It waits where a step ends, before Lightning calls those who checkpoint: a save that fell due while it waited is
    part of the untimed step.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_train_batch_end(self, *_: object) -> None:
        self._turns.step_done()


def learn(overrides: Sequence[str], cache: Path, callbacks: Sequence[Callback] = ()) -> None:
    """Trains the student of a run, whose teachers are finished in its store.

    Args:
        overrides: of the run; its outputs are this training's alone.
        cache: the folder of its teachers' answers, in place of the store's.
        callbacks: of the training.
    """
    quiet_screen()
    plan = kdlab.plan(overrides, config_dir=FOLDER)
    student, paths = plan.student, plan.config["paths"]
    store, folder = Store(paths["store"]), Path(paths["outputs"])
    folder.mkdir(parents=True, exist_ok=True)
    teachers = [store.folder(teacher) for teacher, _ in student.teachers]
    train(student, folder, teachers, cache_specs(student, store.root, cache), callbacks=callbacks)

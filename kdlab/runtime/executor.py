"""Carries out a plan: reuses what the store has, resumes what was begun, trains what is missing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from kdlab.jobs.plan import Plan
from kdlab.jobs.training.cache_specs import places
from kdlab.jobs.training.history import Row, read_history
from kdlab.jobs.training.identity import ranks, stage_fingerprint
from kdlab.jobs.training.ranks import train_with_ranks
from kdlab.jobs.training.stage import Stage, train
from kdlab.runtime.gpus import placed
from kdlab.screen.run import Listen, Screen
from kdlab.store.store import Store
from kdlab.sweeps.search.pruning import Judge
from kdlab.tracking.artifacts import keep_network, use_networks
from kdlab.tracking.wandb import Tracker, WandbSettings, wandb_run


@dataclass(frozen=True)
class Watch:
    """Who is told how a stage goes; nothing here changes what it computes, but the judge may end it."""

    screen: Screen
    wandb: WandbSettings | None = None
    judge: Judge | None = None


def execute(plan: Plan, store: Store, watch: Watch) -> dict[str, bool]:
    """Sees to it that every stage is finished, in order.

    Returns:
        By stage name, whether it was finished before.
    """
    return {stage.name: obtain(stage, store, watch) for stage in plan.stages}


def obtain(stage: Stage, store: Store, watch: Watch) -> bool:
    """Sees to it that a stage is finished; another process that is at it is waited for.

    Returns:
        Whether there was nothing to do here.
    """
    if not store.finished(stage):
        waiting = f"  {stage.name:<10} is being trained by {{}}; waiting for it"
        with store.claimed(stage, lambda owner: watch.screen.say(waiting.format(owner))) as folder:
            if not store.finished(stage):
                _train(stage, folder, store, watch)
                watch.screen.trained(stage.name, store.result(stage))
                return False
    watch.screen.reused(stage.name, store.result(stage))
    return True


def _train(stage: Stage, folder: Path, store: Store, watch: Watch) -> None:
    store.describe(stage)
    waiting = f"  {stage.name:<10} waits for a GPU: each has {stage.hardware.get('jobs_per_gpu')} at work"
    with (
        placed(stage, store.root, lambda: watch.screen.say(waiting)) as here,
        _told(stage, watch) as (tracker, callbacks, listen),
    ):
        use_networks(tracker, (teacher for teacher, _ in stage.teachers))
        _compute(here, folder, store, callbacks, listen)
        tracker.summarise(store.result(stage))
        keep_network(tracker, stage, folder)


def _compute(stage: Stage, folder: Path, store: Store, callbacks: Sequence[Callback], listen: Listen) -> None:
    """Trains in this process, or in as many others as the stage has ranks."""
    count, teachers = ranks(stage), [store.folder(teacher) for teacher, _ in stage.teachers]
    if count == 1 or not stage.epochs:
        train(stage, folder, teachers, places(stage, store.root), listen=listen, callbacks=callbacks)
        return
    train_with_ranks(stage, folder, teachers, places(stage, store.root), count)
    for row in read_history(folder / "metrics.csv"):
        listen(row)


@contextmanager
def _told(stage: Stage, watch: Watch) -> Iterator[tuple[Tracker, list[Callback], Listen]]:
    """Bar and W&B run of one stage."""
    name = f"{stage.name}-{stage.network['name']}-s{stage.seed}"
    identity = {"name": name, "fingerprint": stage_fingerprint(stage), "job_type": "stage"}
    settings = watch.wandb if stage.epochs else None
    judge = watch.judge if watch.judge and watch.judge.stage is stage else None
    with (
        wandb_run(settings, **identity, config=_config(stage)) as tracker,
        watch.screen.bar(stage.name, stage.epochs) as (callbacks, show),
    ):

        def listen(row: Row) -> None:
            show(row)
            tracker.log(row, int(row["step"]))
            if judge:
                judge.hear(row)

        yield tracker, [*callbacks, *([judge] if judge else [])], listen


def _config(stage: Stage) -> Mapping[str, Any]:
    return {name: value for name, value in vars(stage).items() if name != "teachers"}

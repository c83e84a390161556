"""`python -m kdlab.cache …`: computes the outputs of a run's teachers before training, which then only reads them."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlab.jobs.training.process import run_and_leave
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store

USAGE = """\
usage: python -m kdlab.cache [-m] [group=option …] [key=value …]

Computes the outputs of a run's teachers before training, which then only reads
them: for every image in every view that the students of the run use. Teachers
that are not in the store are trained first.

arguments:
  group=option, key=value   as for python -m kdlab.train (default: its default)
  -m, +sweeps=…             a sweep: its first cell is used. The others read the
                            same outputs unless they change teacher, data,
                            data.view_seed or epochs
  --config-dir FOLDER       further options of your own
  -h, --help                show this page and exit

examples:
  python -m kdlab.cache data=cifar10 model=resnet56_resnet8 epochs=60
  python -m kdlab.cache +sweeps=temperature hardware=auto

What the cache holds and costs: docs/cache.md."""


def cache(arguments: Sequence[str]) -> int:
    """Fills the cache for the run of a command line; returns the exit code.

    Raises:
        BadInput: the command line or a setting is wrong.
    """
    import kdlab
    from kdlab.config.command_line import hydra_command_line
    from kdlab.config.compose import compose_config
    from kdlab.runtime.logs import quiet_screen
    from kdlab.runtime.run import check
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store

    args = hydra_command_line("cache").parse_intermixed_args(arguments)
    cfg = compose_config(args.overrides, args.config_dir, multirun=args.multirun)
    quiet_screen()
    plan, store, screen = kdlab.plan(cfg, config_dir=args.config_dir), Store(cfg.paths.store), Screen()
    check(plan, store)
    for stage in plan.stages:
        if stage.teachers:
            _fill(stage, store, screen)
    return 0


def _fill(stage: "Stage", store: "Store", screen: "Screen") -> None:
    """Fills the cache of one stage and trains its teachers first, unless they are distilled themselves."""
    from kdlab.jobs.cache_fill import CacheFill
    from kdlab.runtime.run import run_jobs
    from kdlab.runtime.signals import StopOnSignal

    untrained = [teacher.name for teacher in stage.teacher_stages if teacher.teachers and not store.finished(teacher)]
    if untrained:
        screen.print(
            f"  {stage.name:<10} distils from {', '.join(untrained)}, not trained yet: its cache is filled in training"
        )
        return
    fill = CacheFill(stage)
    with StopOnSignal() as stop:
        run_jobs(stage.teacher_stages, store, [screen, stop])
        if store.finished(fill) and fill.has_lost_its_rows(store.root):
            store.forget(fill)
        run_jobs([fill], store, [screen, stop])


def main() -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    return run_command(lambda: cache(arguments))


if __name__ == "__main__":
    run_and_leave(main)

"""`python -m kdlab.cache …`: asks a run's teachers ahead of time, so that its students, epochs and cells only read."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdlab.sweeps.cli import explained

if TYPE_CHECKING:
    from kdlab.jobs.cache_fill import Filled
    from kdlab.jobs.training.stage import Stage
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store

USAGE = """usage: python -m kdlab.cache [group=option …] [key=value …]

The same settings as for python -m kdlab.train. Teachers that are not in the store are trained first; then they are
asked about every image in every view that the students of the run will meet, and what they say is stored.
Of a sweep (-m, +sweeps=…) the first cell is taken: the others ask about the same images unless they change teacher,
data, data.view_seed or epochs.

python -m kdlab.cache data=cifar10 model=resnet56_resnet8 epochs=60
python -m kdlab.cache +sweeps=temperature hardware=gpu"""


def cache(arguments: Sequence[str]) -> int:
    """Fills the cache for the run that a command line asks for; returns the exit code.

    Raises:
        BadInput: the command line, or the run that it asks for, cannot be.
    """
    from hydra._internal.utils import get_args_parser

    from kdlab.config.compose import checked_overrides
    from kdlab.jobs.checks.stages import check_stages
    from kdlab.jobs.plan import make_plan
    from kdlab.runtime.logs import quiet_screen
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store

    asked = get_args_parser().parse_intermixed_args(arguments)
    cfg = checked_overrides(asked.overrides, multirun=asked.multirun, folder=asked.config_dir).config
    quiet_screen()
    plan, store, screen = make_plan(cfg), Store.at(cfg.paths.store), Screen()
    check_stages(plan.stages, store.finished)
    for stage in plan.stages:
        if stage.teachers:
            _fill(stage, store, screen)
    return 0


def _fill(stage: "Stage", store: "Store", screen: "Screen") -> None:
    """Of one stage, whose teachers are trained first; not those that are taught themselves."""
    from kdlab.jobs.cache_fill import fill
    from kdlab.runtime.executor import Watch, obtain

    taught = [teacher.name for teacher, _ in stage.teachers if teacher.teachers and not store.finished(teacher)]
    if taught:
        screen.say(f"  {stage.name:<10} is taught by {', '.join(taught)}, not trained yet: filled as it trains")
        return
    for teacher, _ in stage.teachers:
        obtain(teacher, store, Watch(screen))
    with screen.steps(f"{stage.name}'s teachers", stage.epochs * len(stage.teachers)) as step:
        filled = fill(stage, store, step)
    screen.say("\n".join(map(_told, filled)) or f"  {stage.name:<10} asks its teachers at every step: nothing to store")


def _told(filled: "Filled") -> str:
    each = filled.stored / filled.samples
    room = f"{filled.stored} answers ({each:.1f} a sample) in {filled.bytes / 1e6:.1f} MB"
    rest = "" if filled.complete else "; not all that the student will ask found room"
    return f"  {filled.teacher:<10} {room}, {filled.computed} of them computed in {filled.seconds:.1f} s{rest}"


def main() -> int:
    """The command; returns its exit code."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    return explained(lambda: cache(arguments))


if __name__ == "__main__":
    sys.exit(main())

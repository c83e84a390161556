"""`python -m kdlab.train`: plan the stages, obtain each of them, and say what distillation gained."""

import sys

from omegaconf import DictConfig

from kdlab.cli import run


def train(cfg: DictConfig) -> None:
    """Runs one experiment from its composed config, and leaves a run directory with `result.json`."""
    from kdlab.cell import reported_cell, tell_result, wandb_settings
    from kdlab.checks import check_stages
    from kdlab.execute import Watch, execute
    from kdlab.logs import quiet_screen
    from kdlab.plan import make_plan
    from kdlab.result import finished_result
    from kdlab.rundir import RunDirectory
    from kdlab.screen import Screen
    from kdlab.search.judge import judge_of
    from kdlab.store import Store
    from kdlab.sweep import note_cell, note_run, sweep_folder

    quiet_screen()
    screen, store, wandb = Screen(brief=sweep_folder() is not None), Store.at(cfg.paths.store), wandb_settings(cfg)
    with reported_cell(cfg, wandb) as tracker:
        plan = make_plan(cfg)
        check_stages(plan.stages, store.finished)
        with RunDirectory.of(cfg, plan) as directory:
            note_run(directory.path)
            screen.opening(directory.path, plan)
            reused = execute(plan, store, Watch(screen, wandb, judge_of(plan.student)))
            note_cell(trained=list(reused.values()).count(False))
            result = finished_result(plan, store, reused, directory.config)
            directory.finish(result, plan, store)
            tell_result(tracker, result, plan, store, directory.path)
            screen.closing(directory.path, result)


def main() -> int:
    """The command; returns its exit code."""
    return run(train)


if __name__ == "__main__":
    sys.exit(main())

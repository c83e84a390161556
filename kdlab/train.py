"""`python -m kdlab.train`: plan the stages, obtain each of them, and say what distillation gained."""

import sys

from omegaconf import DictConfig

from kdlab.sweeps.cli import run


def train(cfg: DictConfig) -> None:
    """Runs one experiment from its composed config, and leaves a run directory with `result.json`."""
    from kdlab.jobs.checks.stages import check_stages
    from kdlab.jobs.plan import make_plan
    from kdlab.runtime.executor import Watch, execute
    from kdlab.runtime.logs import quiet_screen
    from kdlab.runtime.result import finished_result
    from kdlab.runtime.run_directory import RunDirectory
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store
    from kdlab.sweeps.records import note_cell, note_run, sweep_folder
    from kdlab.sweeps.search.pruning import judge_of
    from kdlab.tracking.cell import reported_cell, tell_result, wandb_settings

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

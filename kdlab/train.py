"""`python -m kdlab.train`: plans the jobs, runs each of them, and reports what distillation gained.

With `export=…` the student is exported too: `kdlab.runtime.exported_run`.
"""

from omegaconf import DictConfig

from kdlab.jobs.training.process import load_libraries, run_and_leave
from kdlab.sweeps.cli import run

REFUSED = 1


def train(cfg: DictConfig) -> int:
    """Runs one experiment from its composed config, and writes a run directory with `result.json`.

    Returns:
        The exit code of a single run: 1 where its export is refused or over budget, which its screen explains.
    """
    load_libraries()
    from kdlab.config.cell import choices, config_folders, task_overrides
    from kdlab.config.network_options import NetworkOptions
    from kdlab.jobs.plan import make_plan
    from kdlab.reporting.render.model_card import model_card
    from kdlab.runtime.exported_run import settings_of, with_export
    from kdlab.runtime.logs import quiet_screen
    from kdlab.runtime.run import check, run_jobs
    from kdlab.runtime.run_directory import RunDirectory
    from kdlab.runtime.signals import StopOnSignal
    from kdlab.screen.run import Screen
    from kdlab.store.store import Store
    from kdlab.sweeps.cell import note_cell, note_run, sweep_group, sweep_question
    from kdlab.sweeps.search.pruning import pruning_callback
    from kdlab.tracking.cell import log_result, reported_cell, wandb_settings
    from kdlab.tracking.jobs import JobRuns
    from kdlab.tracking.weights import with_local_weights

    quiet_screen()
    group = sweep_group()
    screen, store = Screen(brief=group is not None), Store(cfg.paths.store)
    wandb = wandb_settings(cfg, group, sweep_question())
    with reported_cell(cfg, wandb, choices()) as tracker:
        plan = make_plan(cfg, NetworkOptions(config_folders()), with_local_weights)
        export = settings_of(plan.config)
        check(plan, store)
        with RunDirectory.of(cfg, plan, task_overrides()) as directory, StopOnSignal() as stop:
            note_run(directory.path)
            screen.opening(directory.path, plan, task_overrides())
            possible = [
                screen,
                JobRuns(wandb) if wandb and tracker.recorded else None,
                pruning_callback(plan.student),
                stop,
            ]
            listeners = [listener for listener in possible if listener]
            result = run_jobs(plan, store, listeners)
            if export:
                result = with_export(result, export, store, listeners, directory=directory.path, card=model_card)
            note_cell(trained=sum(not stage["reused"] for stage in result["stages"]))
            directory.finish(result)
            log_result(tracker, result.content, plan, store, directory.path)
            screen.closing(directory.path, result.content)
    return 0 if not export or result["export"]["complete"] else REFUSED


def main() -> int:
    """The command; returns its exit code."""
    return run(train)


if __name__ == "__main__":
    run_and_leave(main)

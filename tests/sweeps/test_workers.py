import pytest

from kdlab.config.compose import checked_overrides
from kdlab.sweeps.question import sweep_of
from kdlab.sweeps.workers import jobs_at_once, oversubscription_hint

JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"


@pytest.mark.parametrize(
    ("launcher", "cells", "jobs"),
    [
        ({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, 12, 1),
        ({"_target_": JOBLIB, "n_jobs": 3}, 12, 3),
        ({"_target_": JOBLIB, "n_jobs": 3}, 2, 2),
        ({"_target_": JOBLIB, "n_jobs": -1}, 12, 8),
        ({"_target_": JOBLIB, "n_jobs": -3}, 12, 6),
        ({"_target_": RAY, "ray": {"init": {"address": None}, "remote": {}}}, 12, 8),
        ({"_target_": RAY, "ray": {"init": {"num_cpus": 4}, "remote": {"num_cpus": 2}}}, 12, 2),
        ({"_target_": f"{SUBMITIT}.LocalLauncher", "submitit_folder": "here"}, 12, 12),
        ({"_target_": f"{SUBMITIT}.SlurmLauncher", "submitit_folder": "here", "partition": None}, 12, 1),  # elsewhere
        ({"_target_": JOBLIB, "n_jobs": 3}, None, 3),
    ],
)
def test_how_many_cells_run_at_once_on_eight_cores(launcher, cells, jobs):
    assert jobs_at_once(launcher, cells, cores=8) == jobs


def hint(*overrides):
    checked = checked_overrides(["loss.temperature=1,2,3,4,5,6", "hydra/launcher=joblib", *overrides], multirun=True)
    return oversubscription_hint(sweep_of(checked.multirun, checked.config), checked.config)


def test_more_threads_than_cores_give_a_hint_that_names_the_share(monkeypatch):
    monkeypatch.setattr("kdlab.sweeps.workers.cpu_count", lambda: 8)
    assert hint("hydra.launcher.n_jobs=4", "hardware.threads=2") is None
    assert hint("hydra.launcher.n_jobs=1", "hardware.threads=64") is None
    message = hint("hydra.launcher.n_jobs=4", "hardware.threads=4")
    assert message.startswith(
        "4 cells at once with 4 threads each, on 8 cores: hardware.threads=2 gives each cell its share"
    )
    message = hint("hydra.launcher.n_jobs=4", "hardware.threads=16", "hydra.sweeper.max_batch_size=2")
    assert message.startswith("2 cells at once with 16 threads each, on 8 cores: hardware.threads=4 ")

"""kdlab: a knowledge-distillation lab.

plan = kdlab.plan(["loss=feature", "model=resnet50_mbv3"])
result = kdlab.run(plan, store="outputs/store", on_event=print)
student = kdlab.load(result.student)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.settings.version import VERSION

if TYPE_CHECKING:
    import pandas
    from omegaconf import DictConfig

    from kdlab.jobs.events import Event
    from kdlab.jobs.job import Job
    from kdlab.jobs.plan import Plan
    from kdlab.models.network import Network
    from kdlab.runtime.run import Result

__version__ = VERSION


def plan(config: "Sequence[str] | Mapping[str, Any] | DictConfig", *, config_dir: str | None = None) -> "Plan":
    """The jobs that an experiment needs.

    Args:
        config: overrides as on the command line, such as `["loss=dkd", "seed=1"]`; or a whole config, such as the
            `config` of a run's `result.json`, which needs no Hydra.
        config_dir: a folder with further options, as `--config-dir`.

    Raises:
        kdlab.errors.BadInput: an unknown group, option or key, or parts that do not go together.
    """
    from kdlab.config.folders import CONF
    from kdlab.config.network_options import NetworkOptions
    from kdlab.jobs.plan import make_plan
    from kdlab.tracking.weights import with_local_weights

    folders = [*([Path(config_dir)] if config_dir else []), CONF]
    return make_plan(_composed(config, config_dir), NetworkOptions(folders), with_local_weights)


def run(
    plan: "Plan | Sequence[Job]",
    *,
    store: str | Path = "outputs/store",
    run_dir: str | Path | None = None,
    on_event: "Callable[[Event], None] | None" = None,
) -> "Result":
    """Runs the jobs of a plan that the store does not have. In any thread, one run at a time in a process.

    Exports the student too where the plan's config has an `export`, as after `kdlab.plan(["export=onnx"])`: the summary
    is `result["export"]`, and the artifacts are in a folder of `run_dir`; without one, only in the store.

    Restores the process's state: signal handlers, working directory, global generators, loggers and thread count.

    Args:
        plan: from `kdlab.plan`, or jobs of your own, each after those that it needs.
        store: a folder for everything that is computed; made when it is absent.
        run_dir: a folder for `result.json`, `train.log` and links to the finished jobs, as the train command leaves;
            `kdlab.results` and the report find it.
        on_event: called with the events of `kdlab.jobs.events` as they happen. It may end the run by raising
            `kdlab.errors.Interrupted`: the state is saved, and the same call continues from there.

    Returns:
        The fields of `result.json`, by `result["gain"]`, and the folders of the finished jobs.

    Raises:
        kdlab.errors.BadInput: something does not fit together, or another thread of this process is running a plan.
        kdlab.errors.TrainingFailed: a job failed.
    """
    from contextlib import nullcontext

    from kdlab.jobs.plan import Plan
    from kdlab.reporting.render.model_card import model_card
    from kdlab.runtime.exported_run import settings_of, with_export
    from kdlab.runtime.isolation import isolated
    from kdlab.runtime.logs import quiet_libraries
    from kdlab.runtime.run import check, run_jobs
    from kdlab.runtime.run_directory import RunDirectory
    from kdlab.store.store import Store

    opened, listeners = Store(store), [on_event] if on_event else []
    export = settings_of(plan.config) if isinstance(plan, Plan) else None
    with (
        isolated(),
        quiet_libraries(),
        RunDirectory.at(run_dir, plan) if run_dir else nullcontext() as directory,
    ):
        check(plan, opened)
        result = run_jobs(plan, opened, listeners)
        if export:
            path = directory.path if directory else None
            result = with_export(result, export, opened, listeners, directory=path, card=model_card)
        if directory:
            directory.finish(result)
        return result


def load(run_dir: str | Path, *, trusted: bool = False) -> "Network":
    """The student that a run trained, in eval mode: it takes uint8 images, or floats in [0, 1].

    Args:
        run_dir: a run directory, or the folder of one of its stages such as `outputs/…/teacher`.
        trusted: also build networks from other packages than timm, torchvision, transformers and kdlab's own,
            which runs their code.

    Raises:
        kdlab.errors.BadInput: there is no finished network, or its package is not trusted.
    """
    from kdlab.models.saved import load_network
    from kdlab.models.stage_folder import stage_folder

    return load_network(stage_folder(run_dir), trusted=trusted)


def results(*folders: str | Path) -> "pandas.DataFrame":
    """The finished runs in and below some folders as a data frame (pandas): a row each, as in a report's `cells.csv`.

    Columns are what varies between the runs, the seed, test and validation metrics of student, baseline and teacher,
    the gain, agreement with the teacher, parameters, FLOPs, seconds, and the `path` that `kdlab.load` takes.

    Args:
        folders: run directories, sweeps, or folders that hold any of them, such as `outputs`.

    Raises:
        kdlab.errors.BadInput: pandas is not installed, a folder is not there, or none of them holds a run or a sweep.
    """
    from kdlab.reporting.frame import data_frame

    return data_frame(folders)


def _composed(config: "Sequence[str] | Mapping[str, Any] | DictConfig", config_dir: str | None) -> "DictConfig":
    from omegaconf import DictConfig, OmegaConf

    if isinstance(config, DictConfig):
        return config
    if isinstance(config, Mapping):
        return OmegaConf.create(dict(config))
    from kdlab.config.compose import compose_config

    return compose_config(config, config_dir)

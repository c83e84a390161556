"""The W&B run of a whole cell: its name, config and figures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.errors import BadInput
from kdlab.jobs.plan import Plan
from kdlab.settings.numbers import is_number
from kdlab.store.fingerprint import config_fingerprint
from kdlab.store.store import Store
from kdlab.tracking.artifacts import keep_result, use_artifacts
from kdlab.tracking.charts import charts
from kdlab.tracking.wandb import Tracker, WandbSettings, wandb_run
from kdlab.tracking.weights import SCHEME, addresses

FIGURES = (
    "teacher",
    "teachers",
    "student",
    "baseline",
    "control",
    "ensemble",
    "gain",
    "gain_over_control",
    "gap_recovered",
    "agreement",
    "agreement_baseline",
    "kl_to_teacher",
    "references",
    "pruning",
    "quantisation",
)
OF_EXPORT = ("recommended", "within_budget", "complete")


def wandb_settings(cfg: DictConfig, group: str | None = None, notes: str | None = None) -> WandbSettings | None:
    """Where `logger=wandb` sends the runs of this command; None without it.

    Args:
        cfg: of the run.
        group: the sweep that it is a cell of, where `logger.group` names none.
        notes: the sweep's question, where `logger.notes` is empty.

    Raises:
        BadInput: a setting that wandb would refuse, or a report of a single run.
    """
    logger = cfg.logger
    if not logger.get("wandb"):
        return None
    if logger.report is True and group is None:
        raise BadInput(
            "logger.report=true publishes the report of a sweep when it ends, got a single run. Leave it out: "
            f"python -m kdlab.report DIR --wandb {logger.project} publishes one of any runs."
        )
    return WandbSettings(
        project=logger.project,
        directory=Path(logger.directory),
        entity=logger.entity,
        tags=tuple(logger.tags),
        mode=logger.mode,
        group=logger.group or group,
        notes=logger.notes or notes,
        artifacts=logger.artifacts,
        report=logger.report,
    )


def cell_name(cfg: DictConfig) -> str:
    """Such as `response-T4-a0.7-s0`."""
    parts = [("T", cfg.loss.get("temperature")), ("a", cfg.loss.get("alpha")), ("s", cfg.seed)]
    shown = [(letter, f"{value:g}" if is_number(value) else value) for letter, value in parts if value is not None]
    return "-".join([cfg.name, *(f"{letter}{value}" for letter, value in shown)])


@contextmanager
def reported_cell(
    cfg: DictConfig, settings: WandbSettings | None, choices: Mapping[str, Any] | None = None
) -> Iterator[Tracker]:
    """A W&B run around the body, from before anything can fail; the body logs the result.

    Args:
        cfg: of the run.
        settings: where it goes; None records nothing.
        choices: the chosen option of each config group, such as `loss: dkd`.
    """
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    identity = {"name": cell_name(cfg), "fingerprint": config_fingerprint(config), "job_type": "cell"}
    shown = {**config, "choices": dict(choices or {}), "fingerprint": identity["fingerprint"]}
    with wandb_run(settings, **identity, config=shown) as tracker:
        yield tracker


def log_result(tracker: Tracker, result: Mapping[str, Any], plan: Plan, store: Store, directory: Path) -> None:
    """Logs figures, tables and charts of a result to the cell's run, and links its networks."""
    tracker.show(lambda: charts(result, plan, store))
    tracker.summarise(figures(result))
    use_artifacts(tracker, plan.by_role().values())
    for _, address in addresses(result["config"]["model"], "model"):
        tracker.use(address.removeprefix(SCHEME))
    keep_result(tracker, directory.name.rpartition("-")[0], plan.fingerprint, directory / "result.json")


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a result for the summary of the cell's run."""
    generations = {f"generation{number}": found for number, found in enumerate(result.get("generations", ()), 1)}
    steps = {step["name"]: step["figures"] for step in result.get("steps", ())}
    export = {name: result["export"].get(name) for name in OF_EXPORT} if result.get("export") else {}
    own = {name: result[name] for name in FIGURES if result.get(name) is not None}
    return {**own, **generations, **steps, **({"export": export} if export else {})}

"""The W&B run of a whole cell: what it was called, what it found."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from kdlab.jobs.plan import Plan
from kdlab.store.fingerprint import config_fingerprint
from kdlab.store.store import Store
from kdlab.sweeps.records import ABOUT, read_sweep, sweep_folder
from kdlab.tracking.artifacts import keep_result, use_networks
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
)


def wandb_settings(cfg: DictConfig) -> WandbSettings | None:
    """Where `logger=wandb` sends the runs of this command; None without it."""
    logger = cfg.logger
    if not logger.get("wandb"):
        return None
    folder = sweep_folder()
    return WandbSettings(
        project=logger.project,
        directory=Path(logger.directory),
        entity=logger.entity,
        tags=tuple(logger.tags),
        mode=logger.mode,
        group=logger.group or (folder.name if folder else None),
        notes=logger.notes or _question(),
        artifacts=logger.artifacts,
    )


def cell_name(cfg: DictConfig) -> str:
    """Such as `response-T4-a0.7-s0`."""
    parts = [("T", cfg.loss.get("temperature")), ("a", cfg.loss.get("alpha")), ("s", cfg.seed)]
    return "-".join([cfg.name, *(f"{letter}{value:g}" for letter, value in parts if value is not None)])


@contextmanager
def reported_cell(cfg: DictConfig, settings: WandbSettings | None) -> Iterator[Tracker]:
    """A W&B run around the body, from before anything can fail; the body tells it what came out."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    identity = {"name": cell_name(cfg), "fingerprint": config_fingerprint(config), "job_type": "cell"}
    shown = {**config, "choices": _choices(), "fingerprint": identity["fingerprint"]}
    with wandb_run(settings, **identity, config=shown) as tracker:
        yield tracker


def tell_result(tracker: Tracker, result: Mapping[str, Any], plan: Plan, store: Store, directory: Path) -> None:
    """Gives the cell's run the figures, tables and charts of its result, and links the networks that it is about."""
    tracker.show(lambda: charts(result, plan, store))
    tracker.summarise(figures(result))
    use_networks(tracker, plan.by_role().values())
    for _, address in addresses(result["config"]["model"], "model"):
        tracker.use(address.removeprefix(SCHEME))
    keep_result(tracker, directory.name.rpartition("-")[0], plan.fingerprint, directory / "result.json")


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """What of a result goes into the summary of the cell's run."""
    generations = {f"generation{number}": found for number, found in enumerate(result.get("generations", ()), 1)}
    steps = {step["name"]: step["figures"] for step in result.get("steps", ())}
    return {**{name: result[name] for name in FIGURES if result.get(name) is not None}, **generations, **steps}


def _question() -> str | None:
    """What the sweep asks; None outside sweeps, and of one that was only typed."""
    folder = sweep_folder()
    return read_sweep(folder)[0].question if folder and (folder / ABOUT).is_file() else None


def _choices() -> dict[str, Any]:
    """The chosen option of each config group, such as `loss: dkd`; a dot in a name would read as a level."""
    choices = {str(group): option for group, option in HydraConfig.get().runtime.choices.items()}
    return {group: option for group, option in choices.items() if not group.startswith("hydra/") and "." not in group}

"""The W&B run of a whole cell: what it was called, what it found."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kdlab.plan import Plan
from kdlab.tracking import Tracker, WandbSettings, wandb_run

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
    return WandbSettings(
        project=logger.project,
        directory=Path(logger.directory),
        entity=logger.entity,
        tags=tuple(logger.tags),
        mode=logger.mode,
        group=logger.group or _sweep(),
        notes=logger.notes,
    )


def cell_name(cfg: DictConfig) -> str:
    """Such as `response-T4-a0.7-s0`."""
    parts = [("T", cfg.loss.get("temperature")), ("a", cfg.loss.get("alpha")), ("s", cfg.seed)]
    return "-".join([cfg.name, *(f"{letter}{value:g}" for letter, value in parts if value is not None)])


@contextmanager
def reported_cell(cfg: DictConfig, plan: Plan, settings: WandbSettings | None) -> Iterator[Tracker]:
    """A W&B run around the body; the body summarises its result into it."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    name = cell_name(cfg)
    with wandb_run(settings, name=name, fingerprint=plan.fingerprint, job_type="cell", config=config) as run:
        yield run


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """What of a result goes into the summary of the cell's run."""
    generations = {f"generation{number}": found for number, found in enumerate(result.get("generations", ()), 1)}
    steps = {step["name"]: step["figures"] for step in result.get("steps", ())}
    return {**{name: result[name] for name in FIGURES if result.get(name) is not None}, **generations, **steps}


def _sweep() -> str | None:
    """The sweep's name, or the folder of an unnamed one; None outside sweeps."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return None
    return settings.runtime.choices.get("sweeps") or Path(settings.sweep.dir).name

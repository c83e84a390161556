"""The W&B run of a whole sweep: its answer, its settings as a table, and the table of a heat map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdlab.reporting.analyse.labels import names
from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.tables import setting_rows
from kdlab.runtime.sweep_records import ABOUT
from kdlab.settings.numbers import is_number
from kdlab.tracking.wandb import WandbSettings, wandb_run

SWEEP = "sweep"  # the job type of its run
HEAT_MAP_TABLE = "heat_map"
PLANE = {"loss.temperature": 0, "loss.alpha": 1}  # first across, second down


def group_of(evidence: Evidence, folders: Sequence[Path]) -> str | None:
    """The W&B group of the sweep that all runs are cells of: its folder's name, or `logger.group`."""
    if evidence.sweep is None:
        return None
    configs = (run.result["config"] for setting in evidence.settings for run in setting.runs)
    if group := next((config["logger"].get("group") for config in configs if "logger" in config), None):
        return str(group)
    found = (path for folder in folders for parent in ("", "*/") for path in folder.resolve().glob(f"{parent}{ABOUT}"))
    return next((path.parent.name for path in found), None)


def record_sweep(evidence: Evidence, settings: WandbSettings) -> bool:
    """Opens the run of a sweep, or continues it, and logs what was found.

    Args:
        evidence: of its cells.
        settings: of its runs, with its group, which names the run.

    Returns:
        Whether everything was recorded.
    """
    name = settings.group or evidence.title
    config = {"question": evidence.question, "varied": evidence.varied, "seeds": evidence.seeds}
    with wandb_run(settings, name=name, fingerprint=SWEEP, job_type=SWEEP, config=config) as tracker:
        tracker.show(lambda: _tables(evidence))
        tracker.summarise(_summary(evidence))
    return tracker.recorded


def plane(evidence: Evidence) -> tuple[str, str] | None:
    """Two settings that vary and are numbers, across and down; temperature and alpha where these do."""
    numbers = [key for key, values in evidence.varied.items() if len(values) > 1 and all(map(is_number, values))]
    across, down, *_ = [*sorted(numbers, key=lambda key: PLANE.get(key, len(PLANE))), None, None]
    return (across, down) if across and down else None


def heat_map_columns(evidence: Evidence) -> list[str]:
    """The columns of the heat map's table: both settings, and the metric by which settings are chosen."""
    return [*names(list(plane(evidence) or ())).values(), f"validation {evidence.task.headline.label}"]


def _tables(evidence: Evidence) -> dict[str, Any]:
    import wandb

    rows = setting_rows(evidence)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    tables = {"settings": wandb.Table(columns=[*columns], data=[[row.get(name) for name in columns] for row in rows])}
    if axes := plane(evidence):
        points = _heat_map(evidence, axes)
        tables[HEAT_MAP_TABLE] = wandb.Table(columns=[*heat_map_columns(evidence)], data=points)
    return tables


def _heat_map(evidence: Evidence, axes: tuple[str, str]) -> list[list[Any]]:
    """A row for each setting that has the metric, its mean over seeds."""
    role = chosen_role(evidence.varied)
    found = [(setting, setting.validated(role)) for setting in evidence.settings]
    return [[*(setting.values[key] for key in axes), one.mean] for setting, one in found if one]


def _summary(evidence: Evidence) -> Mapping[str, Any]:
    best = evidence.best
    return {
        "answer": evidence.answer,
        "remarks": list(evidence.remarks),
        "cells": evidence.savings.cells,
        "failed": len(evidence.failures),
        "best": {"setting": best.label, **{name: one.mean for name, one in best.figures.items()}} if best else None,
    }

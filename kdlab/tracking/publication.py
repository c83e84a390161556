"""The W&B report at the end of a sweep: published, or written with the commands that publish it later."""

import os
import shlex
from pathlib import Path

from kdlab.errors import KdlabError
from kdlab.reporting.evidence import Evidence
from kdlab.tracking.sweep import group_of, record_sweep
from kdlab.tracking.wandb import WandbSettings, mode


def publish_sweep(evidence: Evidence, folder: Path, page: Path, settings: WandbSettings) -> str:
    """Records the sweep's own run, writes the specification of its report beside the page, and publishes it.

    Args:
        evidence: of its cells.
        folder: of the sweep.
        page: of its report.
        settings: of its runs.

    Returns:
        The report's address; without a network or a valid key, the commands that publish it later.
    """
    how = mode(settings.mode)
    if how == "disabled":
        return "W&B: disabled, there is no report."
    from kdlab.tracking.report import build_report  # imports wandb
    from kdlab.tracking.specification import publish, write_specification

    is_recorded = record_sweep(evidence, settings)
    file = write_specification(build_report(evidence, group_of(evidence, [folder])), page.parent)
    if how == "offline":
        return _offline(folder, settings)
    if not is_recorded:
        return _later("no report was published, since the sweep's own run could not be recorded.", folder, settings)
    try:
        return f"W&B report: {publish(file, destination(settings))}"
    except KdlabError as error:
        return _later(str(error).removeprefix("--wandb: "), folder, settings)


def destination(settings: WandbSettings) -> str:
    """Where the runs are, as `--wandb` takes it: without an entity it is the account's own."""
    return f"{settings.entity}/{settings.project}" if settings.entity else settings.project


def _offline(folder: Path, settings: WandbSettings) -> str:
    runs = shlex.quote(_shown(settings.directory / "wandb"))
    return (
        "W&B: recorded offline. With a key (`wandb login`), this uploads the runs and publishes the report:\n"
        f"  wandb sync {runs}/offline-run-*\n"
        f"  {_command(folder, settings)}"
    )


def _later(reason: str, folder: Path, settings: WandbSettings) -> str:
    return (
        f"W&B: {reason}\n"
        "Nothing is lost: the same training command uploads what W&B lacks, and this publishes the report:\n"
        f"  {_command(folder, settings)}"
    )


def _command(folder: Path, settings: WandbSettings) -> str:
    return shlex.join(["python", "-m", "kdlab.report", _shown(folder), "--wandb", destination(settings)])


def _shown(path: Path) -> str:
    """A path as short as it works from here."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)

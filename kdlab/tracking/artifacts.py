"""Networks and results as files of Weights & Biases, and which of them a run was made from."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.stage import Stage
from kdlab.models.saved import WEIGHTS
from kdlab.store.fingerprint import SHORT
from kdlab.tracking.wandb import Tracker

if TYPE_CHECKING:
    from wandb import Artifact

LONGEST = 128  # characters of an artifact's name


def network_name(stage: Stage) -> str:
    """What a stage's network is called there, such as `student-resnet8-1a2b3c4d`."""
    return _name(stage.name, str(stage.network["name"]), stage_fingerprint(stage))


def keep_network(tracker: Tracker, stage: Stage, folder: Path) -> None:
    """Records a finished stage's network: its weights and its config.

    Args:
        tracker: of the stage's run.
        stage: whose network.
        folder: of the stage in the store, where an offline run leaves the files until it is uploaded.
    """
    facts = {"fingerprint": stage_fingerprint(stage), "seed": stage.seed, "epochs": stage.epochs}
    facts["teachers"] = [network_name(teacher) for teacher, _ in stage.teachers]
    files = (folder / WEIGHTS, folder / "config.yaml")
    aliases = (f"s{stage.seed}", stage_fingerprint(stage))
    tracker.keep(lambda: _artifact(network_name(stage), "model", files, facts), aliases)


def keep_result(tracker: Tracker, name: str, fingerprint: str, file: Path) -> None:
    """Records a run's `result.json`.

    Args:
        tracker: of the cell's run.
        name: of the cell.
        fingerprint: of its plan.
        file: the result.
    """
    tracker.keep(lambda: _artifact(_name("result", name, fingerprint), "result", (file,), {}), (fingerprint,))


def use_networks(tracker: Tracker, stages: Iterable[Stage]) -> None:
    """Links a run to the networks that it was made from; those that came with their weights were never recorded."""
    for stage in stages:
        if stage.epochs:
            tracker.use(f"{network_name(stage)}:latest")


def _name(kind: str, what: str, fingerprint: str) -> str:
    end = f"-{fingerprint[:SHORT]}"
    return re.sub(r"[^\w.-]", "-", f"{kind}-{what}", flags=re.ASCII)[: LONGEST - len(end)] + end


def _artifact(name: str, kind: str, files: Iterable[Path], facts: dict[str, Any]) -> "Artifact":
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=facts)
    for file in files:
        artifact.add_file(str(file.resolve()), name=file.name, policy="immutable")  # no copy: it is not written again
    return artifact

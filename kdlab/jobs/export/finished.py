"""A stage that is finished: its settings and figures, as its folder has them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from kdlab.errors import BadInput
from kdlab.jobs.events import Listener
from kdlab.jobs.job import Figures, Job
from kdlab.jobs.training.parts import make_task
from kdlab.models.stage_folder import stage_folder
from kdlab.store.store import CONFIG, RESULT
from kdlab.tasks.description import Description


def change_of(config: Mapping[str, Any]) -> str | None:
    """Whether a stage started with a network that was `pruned` or `quantised`; None for one as it is built.

    Args:
        config: the stage's settings.
    """
    start = config.get("start")
    return None if not start else "pruned" if "ratio" in start else "quantised"


class ExportJob(Job):
    """A job of an export: the export's table has its figures, so it gets no W&B run of its own."""

    @property
    def is_recorded(self) -> bool:
        """False."""
        return False


@dataclass(frozen=True, eq=False)
class FinishedStage(Job):
    """A stage of the store that other jobs need, without the plan that trained it.

    Args:
        folder: of the stage, in its store.
        role: such as `student`.
    """

    folder: Path
    role: str = "student"
    kind: ClassVar[str] = "stage"

    @classmethod
    def at(cls, run: str | Path) -> "FinishedStage":
        """The student of a run directory, or a stage itself.

        Raises:
            BadInput: there is none, it is not finished, or its folder was moved out of its store.
        """
        stage = cls(stage_folder(run).resolve())
        if not (stage.folder / RESULT).is_file():
            raise BadInput(f"{run} is not finished: {stage.folder} has no {RESULT}. Run its command again.")
        if stage.fingerprint != stage.folder.name:
            raise BadInput(
                f"{run} must be a run directory, or the folder of a stage in its store, got a copy of the stage "
                f"{stage.fingerprint} in {stage.folder.name}. Name the original, or rename it: {stage.fingerprint}."
            )
        return stage

    @property
    def name(self) -> str:  # type: ignore[override]
        """Its role."""
        return self.role

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Its settings."""
        settings: Mapping[str, Any] = yaml.safe_load((self.folder / CONFIG).read_text())
        return settings

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """Its results."""
        results: Mapping[str, Any] = json.loads((self.folder / RESULT).read_text())
        return results

    @property
    def label(self) -> str:
        """Such as `student resnet20`."""
        return f"{self.role} {self.network}"

    @property
    def fingerprint(self) -> str:
        """The name of its folder in the store."""
        return str(self.config["fingerprint"])

    @property
    def change(self) -> str | None:
        """See `change_of`."""
        return change_of(self.config)

    @property
    def network(self) -> str:
        """The name of its network, such as `resnet20`."""
        return str(self.config["network"]["name"])

    @property
    def task(self) -> Description:
        """The task of its data."""
        return make_task(self.config["data"]).description

    @property
    def teachers(self) -> Sequence[tuple["FinishedStage", float]]:
        """The stages that taught it, with their weights."""
        listed = self.config.get("teachers") or ()
        return [(FinishedStage(self.folder.parent / name, "teacher"), weight) for name, weight in listed]

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Raises: it is finished."""
        raise AssertionError(f"{self.folder} is finished")

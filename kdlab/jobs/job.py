"""A job: a unit of work that the store can hold, resume and reuse."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kdlab.jobs.events import Listener

Figures = Mapping[str, Any]  # what a finished job found, as its `result.json` holds it


@dataclass(frozen=True)
class Artifact:
    """What a finished job hands on.

    Attributes:
        kind: such as `model`.
        name: such as `student-resnet8`.
        files: of it, in the job's folder.
        metadata: plain values that say what it is.
        aliases: further names of this version of it.
    """

    kind: str
    name: str
    files: tuple[Path, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class Job(ABC):
    """Work that leaves its results in one folder of a store.

    A subclass says what it is by `name`, `fingerprint` and `needs`, and does it in `run`. What else there is has a
    default; a kind of job overrides it to say more of itself on the screen, in W&B and in `config.yaml`.
    """

    kind: ClassVar[str] = "job"
    summary: ClassVar[Sequence[str]] = ()  # the figures that a run's result repeats of it
    needs_are: ClassVar[str] = "inputs"  # what the jobs that it needs are to it

    name: str  # within its plan

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of all that its results depend on; its folder in the store has this name."""

    @property
    def needs(self) -> Sequence["Job"]:
        """The jobs whose results it reads."""
        return ()

    @abstractmethod
    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Does the work, from the start or from what an interrupted attempt left in the folder.

        Args:
            folder: in the store, for this process alone.
            inputs: the folders of `needs`, in order.
            emit: is told of `Progress`; what it raises ends the job once its state is saved.

        Returns:
            What it found, as plain values. The store writes them as `result.json`, which marks the job as finished.
        """

    @property
    def label(self) -> str:
        """A name that tells it from jobs of other plans, such as `student-resnet8-s0`."""
        return self.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it is made of, as plain values: its `config.yaml`."""
        return {}

    @property
    def is_recorded(self) -> bool:
        """Whether it is worth a W&B run of its own."""
        return True

    def outcome(self, figures: Figures, reused: bool) -> str:
        """What is said of it when it is finished, such as `trained   98.20 % test accuracy`."""
        return "reused" if reused else "done"

    def artifact(self, folder: Path) -> Artifact | None:
        """What it hands on, once it is finished; None for nothing but figures."""
        return None

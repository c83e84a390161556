"""A job: a unit of work that can be stored, resumed and reused."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kdlab.jobs.events import Listener

Figures = Mapping[str, Any]  # the results of a finished job, as in its `result.json`


@dataclass(frozen=True)
class Artifact:
    """The files of a finished job that are published, such as to W&B.

    Attributes:
        kind: such as `model`.
        name: such as `student-resnet8`.
        files: its files, in the job's folder.
        metadata: plain values that describe it.
        aliases: further names of this version.
    """

    kind: str
    name: str
    files: tuple[Path, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


class Job(ABC):
    """Work that writes its results to one folder of a store.

    A subclass defines `name`, `fingerprint` and `needs`, and does the work in `run`. All other members have defaults; a
    subclass overrides them for the screen, W&B and `config.yaml`.
    """

    kind: ClassVar[str] = "job"
    summary: ClassVar[Sequence[str]] = ()  # names of its figures that the result of a run repeats
    needs_are: ClassVar[str] = "inputs"  # the role of the jobs that it needs

    name: str  # unique within its plan

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of everything that its results depend on; the name of its folder in the store."""

    @property
    def needs(self) -> Sequence["Job"]:
        """The jobs whose results it reads."""
        return ()

    @abstractmethod
    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Does the work, from the start or from the files of an interrupted attempt in the folder.

        Args:
            folder: of the job in the store, locked for this process.
            inputs: the folders of `needs`, in order.
            emit: is called with `Progress`; if it raises, the job saves its state and ends.

        Returns:
            Its results as plain values. The store writes them to `result.json`, which marks the job as finished.
        """

    @property
    def label(self) -> str:
        """A name that is unique across plans, such as `student-resnet8-s0`."""
        return self.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings as plain values: the content of its `config.yaml`."""
        return {}

    @property
    def is_recorded(self) -> bool:
        """Whether it gets its own W&B run."""
        return True

    def outcome(self, figures: Figures, reused: bool) -> str:
        """The line on the screen when it is finished, such as `trained   98.20 % test accuracy`."""
        return "reused" if reused else "done"

    def artifact(self, folder: Path) -> Artifact | None:
        """Its artifact, once it is finished; None if it has only figures."""
        return None

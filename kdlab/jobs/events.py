"""Events of running jobs, as plain values; listeners are the screen, W&B, a search or a service.

A listener may end a run: it raises `Interrupted` or `StoppedEarly` on a `Progress` event. The state of the job is saved
first, so that the same job continues from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdlab.jobs.job import Job


@dataclass(frozen=True)
class Event:
    """An event of one job."""

    job: "Job"


@dataclass(frozen=True)
class Waiting(Event):
    """The job cannot start yet; the reason is a sentence without its subject, such as `waits for a GPU`."""

    reason: str


@dataclass(frozen=True)
class Started(Event):
    """The job starts in its folder, or continues from where it was interrupted."""

    folder: Path


@dataclass(frozen=True)
class Progress(Event):
    """The progress of a job.

    Attributes:
        done: units of work that are done, such as steps; includes those of earlier attempts.
        total: units in all; None when not known.
        figures: measured values by name, such as a row of the metric history; empty for most events.
        text: the progress in a few words, for the screen.
    """

    done: int
    total: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Finished(Event):
    """The job's results are in its folder.

    Attributes:
        folder: in the store.
        figures: its results.
        reused: whether it was finished before.
    """

    folder: Path
    figures: Mapping[str, Any]
    reused: bool


@dataclass(frozen=True)
class Failed(Event):
    """The job failed; the error is raised as well."""

    error: BaseException


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""


def to_all(listeners: Sequence[Listener]) -> Listener:
    """A listener that calls each of these with every event, in this order."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit

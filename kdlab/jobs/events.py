"""What happens while jobs run, as plain values: screen, W&B, a search or a service listen.

A listener may end a run: it raises `Interrupted` or `StoppedEarly` when it is given `Progress`. What the job has
reached is saved first, so that the same job goes on from there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdlab.jobs.job import Job


@dataclass(frozen=True)
class Event:
    """Something that happened to a job."""

    job: "Job"


@dataclass(frozen=True)
class Waiting(Event):
    """The job cannot start yet, and why: a sentence without its subject, such as `waits for a GPU`."""

    reason: str


@dataclass(frozen=True)
class Started(Event):
    """The job begins, or goes on from where it was interrupted, in its folder."""

    folder: Path


@dataclass(frozen=True)
class Progress(Event):
    """How far the job is.

    Attributes:
        done: parts of the work, such as steps; also those of earlier attempts.
        total: parts in all; None when not known.
        figures: what was measured, by name, such as a row of the metric history; empty most of the time.
        text: the same for a person, in a few words.
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
        figures: what it found.
        reused: whether they were there before.
    """

    folder: Path
    figures: Mapping[str, Any]
    reused: bool


@dataclass(frozen=True)
class Failed(Event):
    """The job could not go on; the error is raised as well."""

    error: BaseException


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not want to know."""

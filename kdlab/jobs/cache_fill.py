"""Answers ahead of time: to every image in every view that a stage will meet."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch

from kdlab.data.batch import Batch
from kdlab.data.image.base import ImageData, Request
from kdlab.data.image.transfer import Transfer
from kdlab.jobs.training.cache_specs import places
from kdlab.jobs.training.identity import accelerator
from kdlab.jobs.training.preparation import initial_network, teacher_network, teachers, term_facts
from kdlab.jobs.training.stage import Stage, make_data, make_method, threads
from kdlab.store.store import Store
from kdlab.teachers.cache.teacher import CachedTeacher


@dataclass(frozen=True)
class Filled:
    """What is stored of one teacher's answers.

    Attributes:
        teacher: its stage's name.
        samples: that the student trains on.
        computed: answers that were missing.
        stored: answers there are now, to this and other runs.
        bytes: that they take on disk.
        seconds: it took.
        complete: whether all that the student will ask is there.
    """

    teacher: str
    samples: int
    computed: int
    stored: int
    bytes: int
    seconds: float
    complete: bool


def fill(stage: Stage, store: Store, epoch_done: Callable[[], None]) -> list[Filled]:
    """Asks the teachers of a stage all that it will ask them.

    Args:
        stage: its teachers are finished.
        store: where they and their answers are.
        epoch_done: called once for each teacher and epoch.

    Returns:
        One for each teacher; none where their answers cannot be stored: data without views, terms that read maps,
        `cache.enabled=false`.
    """
    with threads(stage.hardware.get("threads")):
        device = torch.device(accelerator(stage))
        data = make_data(stage.data)
        data.setup("fit")
        found = []
        for (source, _), teacher in zip(stage.teachers, _cached_teachers(stage, store), strict=False):
            assert isinstance(data, ImageData | Transfer)
            teacher.to(device)
            with closing(teacher):
                found.append(_fill(stage, source.name, teacher, data, epoch_done))
        return found


def _cached_teachers(stage: Stage, store: Store) -> list[CachedTeacher]:
    method, folders = make_method(stage), [store.folder(teacher) for teacher, _ in stage.teachers]
    loads = [partial(teacher_network, stage, folder) for folder in folders]
    facts = term_facts(method, initial_network(stage), stage, loads)
    answering = teachers(method, stage, loads, places(stage, store.root), facts)
    return [teacher for teacher in answering if isinstance(teacher, CachedTeacher) and teacher.place.folder]


def _fill(
    stage: Stage, name: str, teacher: CachedTeacher, data: ImageData | Transfer, epoch_done: Callable[[], None]
) -> Filled:
    started, complete = time.monotonic(), True
    for epoch in range(stage.epochs):
        complete = complete and all(teacher.learn(batch) for batch in _unknown(teacher, data, epoch))
        epoch_done()
    seconds = time.monotonic() - started
    return Filled(name, data.train_size, teacher.samples, *teacher.stored, seconds, complete)


def _unknown(teacher: CachedTeacher, data: ImageData | Transfer, epoch: int) -> Iterator[Batch]:
    """The samples of an epoch that have no answer in their views, in the teacher's batches."""
    visits = data.visits(epoch)
    positions = torch.split(teacher.unknown(visits), teacher.place.batch)
    requests = [Request(visits.samples[at], visits.view[at]) for at in positions if len(at)]
    for images, (samples, view) in zip(data.pictures(requests), requests, strict=True):
        yield Batch(images.to(teacher.device), samples, samples, view)

"""The job that fills the cache: teachers' outputs for every sample in every view that a stage will use."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from kdlab.data.batch import BatchIndices, Inputs, each
from kdlab.data.module import Addressed
from kdlab.jobs.events import Listener, Progress
from kdlab.jobs.job import Figures, Job
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.hardware import accelerator, cpu_threads
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import build_context, frozen_teachers, initial_network, teacher_network
from kdlab.jobs.training.stage import Stage
from kdlab.store.fingerprint import fingerprint
from kdlab.teachers.cache.teacher import CachedTeacher


@dataclass(frozen=True)
class Filled:
    """The cached outputs of one teacher.

    Attributes:
        teacher: the name of its stage.
        samples: number of samples that the student trains on.
        computed: number of outputs that were missing, and were computed.
        stored: number of outputs in the cache, of this and other runs.
        bytes: their size on disk.
        seconds: time of the fill.
        complete: whether the cache holds all outputs that the student will need.
    """

    teacher: str
    samples: int
    computed: int
    stored: int
    bytes: int
    seconds: float
    complete: bool

    def summary(self, reused: bool) -> str:
        """One line for the screen; of a reused fill without computed outputs and time."""
        ratio = self.stored / self.samples
        size = f"{self.stored} outputs ({ratio:.1f} a sample) in {self.bytes / 1e6:.1f} MB"
        cost = "" if reused else f", {self.computed} of them computed in {self.seconds:.1f} s"
        missing = "" if self.complete else "; the cache is full and lacks some outputs that the student will need"
        return f"{self.teacher} {size}{cost}{missing}"


@dataclass(frozen=True, eq=False)
class CacheFill(Job):
    """Computes the missing ones of all teacher outputs that a stage will need.

    Nothing is cached for data without views, for terms that read maps, and with `cache.enabled=false`.
    """

    stage: Stage
    kind: ClassVar[str] = "cache"
    summary: ClassVar[Sequence[str]] = ("seconds",)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the stage that will read the cache, with `_cache`."""
        return f"{self.stage.name}_cache"

    @property
    def fingerprint(self) -> str:
        """Changes with the stage and with its cache settings."""
        return fingerprint({"cache of": self.stage.fingerprint, "cache": self.stage.cache})

    @property
    def needs(self) -> Sequence[Job]:
        """The teachers."""
        return self.stage.teacher_stages

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the stage."""
        return {"stage": self.stage.settings}

    @property
    def is_recorded(self) -> bool:
        """False: it measures nothing for a W&B run."""
        return False

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Computes the outputs of each teacher, epoch by epoch of the stage."""
        total, done = self.stage.epochs * len(inputs), 0

        def epoch_done() -> None:
            nonlocal done
            done += 1
            emit(Progress(self, done, total, text=f"epoch {done} of {total}"))

        filled = _fill(self.stage, folder.parent, inputs, epoch_done)
        return {"teachers": [asdict(one) for one in filled], "seconds": sum(one.seconds for one in filled)}

    def outcome(self, figures: Figures, reused: bool) -> str:
        """A line for each teacher."""
        lines = "\n  ".join(Filled(**one).summary(reused) for one in figures["teachers"])
        verb = "reused" if reused else "filled"
        return f"{verb:<9} {lines or 'nothing to cache: its teachers compute their outputs at every step'}"

    def has_lost_its_rows(self, store: Path) -> bool:
        """Whether a folder of its cached outputs was deleted; call it when its teachers are finished."""
        return not all(spec.folder is None or spec.folder.is_dir() for spec in cache_specs(self.stage, store))


def _fill(stage: Stage, store: Path, folders: Sequence[Path], epoch_done: Callable[[], None]) -> list[Filled]:
    with cpu_threads(stage.hardware.get("threads")):
        data = make_data(stage.data)
        data.setup("fit")
        filled = []
        for source, teacher in zip(stage.teacher_stages, _cached_teachers(stage, store, folders), strict=False):
            assert isinstance(data, Addressed)
            teacher.to(torch.device(accelerator(stage)))
            with closing(teacher):
                filled.append(_fill_one(stage, source.name, teacher, data, epoch_done))
        return filled


def _cached_teachers(stage: Stage, store: Path, folders: Sequence[Path]) -> list[CachedTeacher]:
    method, loads = make_method(stage), [partial(teacher_network, stage, folder) for folder in folders]
    context = build_context(method, initial_network(stage), stage, loads)
    teachers = frozen_teachers(method, stage, loads, cache_specs(stage, store), context)
    return [teacher for teacher in teachers if isinstance(teacher, CachedTeacher) and teacher.spec.folder]


def _fill_one(
    stage: Stage, name: str, teacher: CachedTeacher, data: Addressed, epoch_done: Callable[[], None]
) -> Filled:
    started, complete = time.monotonic(), True
    for epoch in range(stage.epochs):
        complete = complete and all(teacher.fill(*batch) for batch in _missing(teacher, data, epoch))
        epoch_done()
    seconds = time.monotonic() - started
    return Filled(name, data.train_size, teacher.forwards, *teacher.stored, seconds, complete)


def _missing(teacher: CachedTeacher, data: Addressed, epoch: int) -> Iterator[tuple[Inputs, BatchIndices]]:
    """The samples of an epoch whose outputs are not in the cache, in the teacher's batches."""
    visits = data.visits(epoch)
    missing = teacher.missing(visits)
    # Without `batches_any_views`, only samples of the same view are sure to have the same shape.
    views = visits.view[missing]
    groups = [missing] if data.batches_any_views else [missing[views == view] for view in sorted(set(views.tolist()))]
    batches = [visits.select(at) for group in groups for at in torch.split(group, teacher.spec.batch) if len(at)]
    for inputs, indices in zip(data.training_inputs(batches), batches, strict=True):
        yield each(inputs, lambda tensor: tensor.to(teacher.device)), indices

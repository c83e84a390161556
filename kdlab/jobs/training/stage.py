"""The job that trains one network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from kdlab.jobs.events import Listener, Progress, Waiting
from kdlab.jobs.job import Artifact, Figures, Job
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.gpus import on_free_gpu
from kdlab.jobs.training.hardware import ranks
from kdlab.jobs.training.history import Row
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.loop import train
from kdlab.jobs.training.parts import make_task
from kdlab.jobs.training.ranks import train_with_ranks
from kdlab.models.fake_quantised import Quantisation
from kdlab.models.pruning import Pruning
from kdlab.models.stage_folder import CHANGES, WEIGHTS
from kdlab.store.store import CONFIG
from kdlab.tasks.description import Description


@dataclass(frozen=True, eq=False)
class Start:
    """Where a stage starts that has no initial weights of its own: the network of another stage, changed."""

    stage: "Stage"
    change: Pruning | Quantisation

    @property
    def kind(self) -> str:
        """`pruning` or `quantisation`: the component that changes the network, and the field of the result."""
        return "pruning" if isinstance(self.change, Pruning) else "quantisation"

    @property
    def made(self) -> str:
        """What the network is then: `pruned` or `quantised`."""
        return "pruned" if isinstance(self.change, Pruning) else "quantised"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The other stage's fingerprint, and the settings of the change that apply."""
        unused = ("round_to", "importance") if isinstance(self.change, Pruning) and not self.change.structured else ()
        own = {name: value for name, value in asdict(self.change).items() if name not in unused}
        return {"stage": self.stage.fingerprint, **own}


@dataclass(frozen=True, eq=False)
class Stage(Job):
    """The job that trains: one network, its data, one loss, one recipe, one seed, and the stages of its teachers.

    Every mapping holds plain resolved values of the config group of its name. With `epochs=0` a network with given
    weights is only evaluated.
    """

    name: str
    network: Mapping[str, Any]
    data: Mapping[str, Any]
    loss: Mapping[str, Any]
    epochs: int
    seed: int
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    hardware: Mapping[str, Any]
    trainer: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Mapping[str, Any] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)
    teachers: tuple[tuple["Stage", float], ...] = ()
    peer: Mapping[str, Any] | None = None  # a second network that is trained together with the first
    start: Start | None = None  # in place of random or given weights
    setting: str = "model.student"  # the config node of its network, for messages

    kind: ClassVar[str] = "stage"
    summary: ClassVar[Sequence[str]] = ("epochs", "seconds", "teacher_forwards", "teacher_recalls")

    @property
    def fingerprint(self) -> str:
        """Equal for stages with the same results, bit for bit."""
        return stage_fingerprint(self)

    @property
    def task(self) -> Description:
        """The task of its data, such as image classification."""
        return make_task(self.data).description

    @property
    def needs(self) -> Sequence["Stage"]:
        """Its teachers, then the stage that it starts from."""
        return [*self.teacher_stages, *([self.start.stage] if self.start else [])]

    @property
    def needs_are(self) -> str:  # type: ignore[override]
        """`teachers`, or `inputs` if one of them is where it starts."""
        return "inputs" if self.start else "teachers"

    @property
    def teacher_stages(self) -> Sequence["Stage"]:
        """Its teachers, without their weights."""
        return [teacher for teacher, _ in self.teachers]

    @property
    def teacher_networks(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """The config node and the settings of each teacher's network, or of the peer."""
        peers = [("model.teacher", self.peer)] if self.peer else []
        return [*((teacher.setting, teacher.network) for teacher in self.teacher_stages), *peers]

    @property
    def label(self) -> str:
        """Such as `student-resnet8-s0`."""
        return f"{self.name}-{self.network['name']}-s{self.seed}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its fields, with its teachers as fingerprints and weights, and where it starts as a fingerprint."""
        teachers = [[teacher.fingerprint, weight] for teacher, weight in self.teachers]
        fields = {**asdict(replace(self, teachers=(), start=None)), "teachers": teachers}
        return {**fields, "start": self.start.settings if self.start else None}

    @property
    def is_recorded(self) -> bool:
        """False for a network with given weights."""
        return self.epochs > 0

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Trains in this process, or in one new process per rank; see `kdlab.jobs.training.loop`."""
        store, count = folder.parent, ranks(self)
        reason = f"waits for a GPU: each already trains {self.hardware.get('jobs_per_gpu')} (hardware.jobs_per_gpu)"
        with on_free_gpu(self, store, lambda: emit(Waiting(self, reason))) as stage:
            specs = cache_specs(self, store)

            def report(done: int, total: int | None, row: Row) -> None:
                emit(self._progress(done, total, row))

            if count == 1 or not self.epochs:
                return train(stage, folder, inputs, specs, report=report) or {}
            return train_with_ranks(stage, folder, inputs, specs, count, report=report)

    def _progress(self, done: int, total: int | None, row: Row) -> Progress:
        loss = f"  loss {row['train/loss']:.3f}" if "train/loss" in row else ""
        headline, objective = self.task.headline, self.task.objective
        value = f"  val {headline.brief(row[objective])}" if objective in row else ""
        text = f"epoch {row['epoch']:.0f}/{self.epochs}{loss}{value}" if row else ""
        start = f"epoch 0/{self.epochs}" if self.epochs else "evaluation"
        return Progress(self, done, total, row, text or ("" if done else start))

    def outcome(self, figures: Figures, reused: bool) -> str:
        """Such as `trained   98.20 % test accuracy, 30 epochs in 18 s`."""
        verb = "reused" if reused else "trained" if figures["epochs"] else "evaluated"
        epochs = figures["epochs"]
        spent = f"{epochs} epoch{'s' * (epochs != 1)} in {figures['seconds']:.0f} s" if epochs else "given weights"
        spent += f", weights of epoch {figures['kept_epoch']}" if "kept_epoch" in figures else ""
        value = f"{self.task.headline.show(figures[self.task.outcome])} test {self.task.headline.label}"
        return f"{verb:<9} {value}, {spent}{'' if reused else _hits(figures)}"

    def artifact(self, folder: Path) -> Artifact:
        """Its network: weights and config file, and how it was changed if it was."""
        metadata = {"seed": self.seed, "epochs": self.epochs}
        changes = [name for name in CHANGES.values() if (folder / name).is_file()]
        files = tuple(folder / name for name in (WEIGHTS, CONFIG, *changes))
        return Artifact("model", f"{self.name}-{self.network['name']}", files, metadata, (f"s{self.seed}",))


def _hits(figures: Figures) -> str:
    """The hit rate of the cache; empty without hits."""
    hits = figures["teacher_recalls"]
    rate = hits / max(hits + figures["teacher_forwards"], 1)
    return f", {100 * rate:.0f} % of the teacher's outputs read from the cache" if hits else ""

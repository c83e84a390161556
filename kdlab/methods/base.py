"""The base of every method: a student that minimises a named, weighted sum of terms."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import isclass
from typing import Any, ClassVar, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from kdlab.data.batch import Batch, moved
from kdlab.data.image.mixing import Mixing
from kdlab.data.seeds import Stream, derive_seed, generator
from kdlab.errors import BadInput, TrainingFailed
from kdlab.methods.progress import Progress
from kdlab.methods.reseed import reseed
from kdlab.methods.shares import Shares, Window, scaled
from kdlab.methods.term_settings import Terms, TermSettings
from kdlab.methods.terms import BuildContext, LossInputs, MixedLabels, Term, Weighted
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe
from kdlab.tasks.base import Task, task_of
from kdlab.teachers.protocol import Teacher

GPU_CHECK_EVERY = 50  # steps between two checks of the loss on a device that a check would synchronise


class Distiller(LightningModule):
    """Minimises Σ weight · term over batches; without a term that reads a teacher it is supervised training.

    The constructor takes only terms and checks them before anything trains; `prepare` then sets the networks. Terms of
    weight 0 are left out entirely.

    A subclass makes its `own_terms` from its arguments. Settings in `terms` override them, further terms are added, and
    None leaves one out.

    Args:
        terms: by name, what `kdlab.methods.term_settings.TermSettings` reads.

    Raises:
        BadInput: an unknown term, argument or weight, or no term with a weight above 0.
    """

    own_terms: ClassVar[Sequence[str]] = ()  # names of the terms that a method makes from its arguments
    teacher_kind: ClassVar[str] = "stages"  # or `peer`, a second network trained at the same time, or `itself`
    student: Network
    companions: nn.ModuleList  # those of its teachers that change during training

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        every = [TermSettings.read(name, settings) for name, settings in terms.items() if settings is not None]
        self.settings = [term for term in every if term.weight > 0]
        if not self.settings:
            raise BadInput(f"loss.terms needs at least one weight above 0, got {', '.join(terms) or 'no terms'}.")
        self.terms = nn.ModuleList()
        self.teachers: Sequence[Teacher] = ()
        self.seed = 0
        self.optimizer_setting = "optimizer"
        self.task: Task = task_of(None)
        self.mixing: Mixing | None = None
        self._window = Window()
        self.progress = Progress([term.name for term in self.settings])

    @property
    def is_supervised(self) -> bool:
        """Whether no active term compares with a teacher, or with the student's own features."""
        return not any("teacher" in term.inputs for term in self.settings)

    @property
    def needs_teacher(self) -> bool:
        """Whether any active term reads a teacher that another stage trains."""
        return self.teacher_kind == "stages" and any(term.needs_teacher for term in self.settings)

    @property
    def roles(self) -> list[str]:
        """The student's taps that the active terms read, each once."""
        return list(dict.fromkeys(role for term in self.settings for role in term.roles))

    @property
    def teacher_roles(self) -> list[str]:
        """The teachers' taps that the active terms read, each once."""
        return list(dict.fromkeys(role for term in self.settings for role in term.teacher_roles))

    @property
    def reads_teacher_logits(self) -> bool:
        """Whether any active term compares with the logits of a frozen teacher; otherwise they may be empty."""
        return any(term.needs_teacher and not term.taps for term in self.settings)

    @property
    def needs_probe(self) -> bool:
        """Whether building its terms needs more than the number of classes: shapes of features, or sample labels."""
        return bool(self.roles) or any(isclass(term.loss) for term in self.settings)

    def build_terms(self, context: BuildContext, seed: int = 0) -> None:
        """Builds what the terms own: adapters, memory banks and the like.

        Args:
            context: shapes of the features, and what else a loss may be built from.
            seed: for their initial weights.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(Stream.TERMS, seed))
            self.make_terms(context)

    def make_terms(self, context: BuildContext) -> None:
        """Builds the terms, initialised from torch's global generator."""
        self.terms = self.new_terms(context)

    def built_terms(self, context: BuildContext) -> Iterator[tuple[nn.ModuleList, BuildContext]]:
        """Each list of terms that was built, with the context that it was built from."""
        yield self.terms, context

    def new_terms(self, context: BuildContext) -> nn.ModuleList:
        """All terms between one student and its teachers."""
        terms = [Term(settings) for settings in self.settings]
        for term in terms:
            term.build(context)
        return nn.ModuleList(terms)

    def prepare(
        self,
        student: Network,
        teachers: Sequence[Teacher] = (),
        *,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], dict[str, Any]] | None = None,
        taps: Mapping[str, str] | None = None,
        seed: int = 0,
        optimizer_setting: str = "optimizer",
    ) -> None:
        """Sets what the method trains, after `build_terms`.

        Args:
            student: the network to train.
            teachers: frozen teachers, or a peer; see `teacher_kind`. Empty for supervised training.
            optimizer: builds the optimizer from the parameters.
            scheduler: builds Lightning's scheduler config from the optimizer.
            taps: the student's module path by role.
            seed: for dropout, which is reseeded at every step.
            optimizer_setting: the config key of its optimizer, for messages.
        """
        paths = {role: (taps or {})[role] for role in self.roles}
        self.teachers = (*teachers, *self.own_teachers(student, paths))
        self.companions = nn.ModuleList(teacher for teacher in self.teachers if isinstance(teacher, nn.Module))
        self.student = student
        self.seed = seed
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self.optimizer_setting = optimizer_setting
        self._taps = Taps(student.module, paths)

    def own_teachers(self, student: Network, taps: Mapping[str, str]) -> Sequence[Teacher]:
        """Teachers that the method builds from its student, where `teacher_kind` is `itself`.

        Args:
            student: before any tap is registered on it.
            taps: module path by role, for `roles`.
        """
        return ()

    def setup(self, stage: str) -> None:
        """Reads the task of the data module, and how it mixes images.

        Raises:
            BadInput: images are mixed, and a term looks up single ones.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.task, self.mixing = task_of(data), getattr(data, "mixing", None)
        if self.mixing and self._reads("index"):
            name = next(term.name for term in self.settings if "index" in term.inputs)
            raise BadInput(
                f"loss.terms.{name} looks up single images, and data.mixup and data.cutmix mix them. Choose another "
                "loss, or set data.mixup=0 data.cutmix=0."
            )

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(parameter for parameter in self.parameters() if parameter.requires_grad)
        return [optimizer], [self._make_scheduler(optimizer)] if self._make_scheduler else []

    def on_fit_start(self) -> None:
        for teacher in self.teachers:
            teacher.to(self.device)
            teacher.set_data(self.trainer.datamodule)  # type: ignore[attr-defined]

    def optimizer_step(self, *args: Any, **rest: Any) -> None:
        """Updates the teachers after each step of the student, before a checkpoint can be saved."""
        super().optimizer_step(*args, **rest)
        for teacher in self.teachers:
            teacher.update(self.student)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._window.batches = self.trainer.accumulate_grad_batches
        reseed(derive_seed(Stream.STEP, self.seed, self.current_epoch, batch_idx, self.global_rank), self.device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        batch, mixed = self._mixed(Batch.of(batch), batch_idx)
        student, inputs = self.student_outputs(batch, batch_idx)
        inputs = replace(inputs, mixed=mixed)
        teachers = self.teacher_outputs(batch)
        shares = Shares.on(self.trainer, inputs.labels)
        values = self.values(student, teachers, inputs, shares)
        loss = self.weighted_sum(values)
        self.progress.add(loss, values, len(batch.targets), shares.average)
        self._check_finite(batch_idx, student, teachers)
        return scaled(loss, self._window.weight(shares.average))

    def _mixed(self, batch: Batch, batch_idx: int) -> tuple[Batch, MixedLabels | None]:
        """The batch with mixed images, where the data mix them: no index addresses these any more."""
        if not self.mixing or len(batch.targets) == 0:
            return batch, None
        assert isinstance(batch.inputs, Tensor)
        draws = generator(Stream.MIXING, self.seed, self.current_epoch, batch_idx, self.global_rank)
        images, labels, share = self.mixing.apply(batch.inputs, batch.targets, draws)
        return batch._replace(inputs=images, indices=None), MixedLabels(labels, share)

    def student_outputs(self, batch: Batch, batch_idx: int) -> tuple[Outputs, LossInputs]:
        """The student's outputs for a batch, and what else losses may read in this step."""
        raw = observe(self.student, self._taps, batch.inputs)
        return self.task.aligned(raw, batch.targets), LossInputs(
            self.task.labels(batch.targets),
            moved(batch.index, self.device) if batch.index is not None and self._reads("index") else None,
            derive_seed(Stream.TERM_STEP, self.seed, self.current_epoch, batch_idx) if self._reads("seed") else 0,
            self.current_epoch,
        )

    def _reads(self, name: str) -> bool:
        """Whether any term takes that input; inputs that none takes are not computed."""
        return any(name in term.inputs for term in self.settings)

    def teacher_outputs(self, batch: Batch) -> list[Weighted]:
        """The outputs of each teacher for a batch, with its weight.

        Args:
            batch: as the data module yields it. Where a method has changed the images, without `indices`: these address
                the outputs in the cache.
        """
        return [(self.task.aligned(teacher.outputs(batch), batch.targets), teacher.weight) for teacher in self.teachers]

    def values(
        self, student: Outputs, teachers: Sequence[Weighted], inputs: LossInputs, shares: Shares
    ) -> dict[str, Tensor]:
        """The unweighted values of the terms that are active in this epoch, by name."""
        return self.term_values(self.terms, student, teachers, inputs, shares)

    def term_values(
        self, terms: nn.ModuleList, student: Outputs, teachers: Sequence[Weighted], inputs: LossInputs, shares: Shares
    ) -> dict[str, Tensor]:
        """The same for the given terms; each is this rank's share of the value."""
        values = {
            term.name: scaled(term(student, teachers, inputs), shares.of(term.settings))
            for term in cast(Iterable[Term], terms)
            if term.settings.weight_at(inputs.epoch)
        }
        if len(inputs.labels):
            return values
        return {name: value.nan_to_num() for name, value in values.items()}  # a mean over no units is 0

    def close(self) -> None:
        """Releases the resources of its teachers."""
        for teacher in self.teachers:
            teacher.close()

    def weighted_sum(self, values: Mapping[str, Tensor]) -> Tensor:
        """The loss: values of terms times their weights in this epoch."""
        weights = {term.name: term.weight_at(self.current_epoch) for term in self.settings}
        parts = [scaled(value, weights[name]) for name, value in values.items()]
        return sum(parts[1:], start=parts[0])

    def _check_finite(self, step: int, student: Outputs, teachers: Sequence[Weighted]) -> None:
        """On a GPU only every `GPU_CHECK_EVERY` steps, since a check waits for all queued kernels."""
        if self.device.type != "cpu" and step % GPU_CHECK_EVERY:
            return
        self._refuse_non_finite(lambda: _ranges(student, teachers))

    def _refuse_non_finite(self, details: Callable[[], str] = lambda: "") -> None:
        if names := self.progress.not_finite():
            raise TrainingFailed(
                f"The loss is not finite: term {', '.join(names)}, epoch {self.current_epoch + 1}, "
                f"step {self.global_step}{details()}. "
                f"A lower {self.optimizer_setting}.lr, trainer.gradient_clip_val=1.0 or a smaller weight often helps. "
                "The last good checkpoint is kept."
            )

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Rescales accumulated gradients to those of the mean over all their units."""
        factor = self._window.close()
        if isinstance(factor, Tensor) or factor != 1:
            for parameter in self.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    def on_train_epoch_end(self) -> None:
        self._refuse_non_finite()
        active = [term.name for term in self.settings if term.weight_at(self.current_epoch)]
        means = self.progress.close_epoch(active)
        self.log_dict({f"train/{name}": mean for name, mean in means.items()}, sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        self._validated = self.task.metrics().to(self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        batch = Batch.of(batch)
        with torch.compiler.set_stance("force_eager"):  # only training is compiled; a second graph is not worth it here
            raw = Outputs(self.student(batch.inputs))
        self._validated.update(self.task.aligned(raw, batch.targets).logits.float(), self.task.labels(batch.targets))

    def on_validation_epoch_end(self) -> None:
        measured = self._validated.compute()
        self.log_dict({f"val/{name}": value for name, value in measured.items()}, rank_zero_only=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._refuse_non_finite()
        forwards = [[teacher.forwards, teacher.hits] for teacher in self.teachers]
        checkpoint["progress"] = {**self.progress.state_dict(), "forwards": forwards}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.progress.load_state_dict(checkpoint["progress"])
        for teacher, counts in zip(self.teachers, checkpoint["progress"]["forwards"], strict=True):
            teacher.forwards, teacher.hits = counts


def _ranges(student: Outputs, teachers: Sequence[Weighted]) -> str:
    ranges = [f"student logits {_range(student.logits)}"]
    read = [outputs.logits for outputs, _ in teachers if outputs.logits.numel()]
    return "; " + ", ".join(ranges + [f"teacher logits {_range(logits)}" for logits in read])


def _range(logits: Tensor) -> str:
    return f"{logits.min().item():.3g} to {logits.max().item():.3g}"

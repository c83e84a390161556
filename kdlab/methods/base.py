"""The base of every method: a student that minimises a named, weighted sum of terms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.errors import BadInput, TrainingFailed
from kdlab.methods.terms import Outputs, Term
from kdlab.models.network import Network
from kdlab.seeds import Stream, derive_seed
from kdlab.taps import Taps
from kdlab.teacher import FrozenTeacher

GPU_CHECK_EVERY = 50  # steps between two looks at the loss on a device that a look would stall


class Distiller(LightningModule):
    """Minimises Σ weight · term over batches; with no term that asks for a teacher it is plain supervised training.

    It is made from its terms alone, which checks them before anything trains, and is then given its networks by
    `prepare`. Terms of weight 0 are left out entirely.

    Args:
        terms: by name, the settings of `kdlab.methods.terms.Term`.

    Raises:
        BadInput: an unknown term, argument or weight, or no term with a weight above 0.
    """

    student: Network

    def __init__(self, terms: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        every = [Term.from_settings(name, settings) for name, settings in terms.items()]
        self.terms = [term for term in every if term.weight > 0]
        if not self.terms:
            raise BadInput(f"loss.terms needs at least one weight above 0, got {', '.join(terms) or 'no terms'}.")
        self.teachers: Sequence[FrozenTeacher] = ()
        self.seed = 0
        self._sums = torch.zeros(len(self.terms) + 1, dtype=torch.float64)
        self._steps = 0
        self.samples = 0  # trained on so far, by this rank

    @property
    def needs_teacher(self) -> bool:
        """Whether any active term reads a teacher."""
        return any("teacher" in term.inputs for term in self.terms)

    @property
    def roles(self) -> list[str]:
        """The taps that the active terms read, each once."""
        return list(dict.fromkeys(role for term in self.terms for role in term.taps))

    def prepare(
        self,
        student: Network,
        teachers: Sequence[FrozenTeacher] = (),
        *,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        scheduler: Callable[[Optimizer], dict[str, Any]] | None = None,
        taps: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        """Gives the method what it trains.

        Args:
            student: the network to train.
            teachers: frozen; none for supervised training.
            optimizer: makes the optimizer from the parameters.
            scheduler: makes Lightning's scheduler description from the optimizer.
            taps: the student's module path by role.
            seed: of dropout, which is reseeded at every step.
        """
        self.student = student
        self.teachers = tuple(teachers)
        self.seed = seed
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self._taps = Taps(student.module, {role: (taps or {})[role] for role in self.roles})

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(parameter for parameter in self.parameters() if parameter.requires_grad)
        return [optimizer], [self._make_scheduler(optimizer)] if self._make_scheduler else []

    def on_fit_start(self) -> None:
        for teacher in self.teachers:
            teacher.to(self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(derive_seed(Stream.STEP, self.seed, self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        batch = Batch.of(batch)
        student, labels = self._see(batch)
        teachers = [(_only(teacher(batch.inputs), batch.targets), teacher.weight) for teacher in self.teachers]
        shares = self._shares(batch.targets)
        values = [term(student, teachers, labels) * shares["labels" in term.inputs] for term in self.terms]
        loss = torch.stack([value * term.weight for value, term in zip(values, self.terms, strict=True)]).sum()
        self._record(loss, values)
        self.samples += len(batch.targets)
        self._check_finite(batch_idx, student, teachers)
        return loss

    def _shares(self, targets: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """What a rank's means count for: all its samples, and those with a label, over the average rank's.

        DDP averages over ranks, and of a global batch one rank may hold more samples, or more labels, than another.
        """
        if self.trainer.world_size == 1:
            return 1.0, 1.0
        counts = torch.stack([torch.tensor(len(targets), device=targets.device), (targets != UNLABELLED).sum()]).float()
        average = self.trainer.strategy.reduce(counts.clone(), reduce_op="mean").clamp(min=1e-9)
        samples, labelled = counts / average
        return samples, labelled

    def _see(self, batch: Batch) -> tuple[Outputs, Tensor]:
        outputs = Outputs(self.student(batch.inputs), self._taps.pop())
        return _only(outputs, batch.targets), _labels(outputs, batch.targets)

    def _record(self, loss: Tensor, values: Sequence[Tensor]) -> None:
        if self._sums.device != loss.device:
            self._sums = self._sums.to(loss.device)
        self._sums += torch.stack([loss.detach(), *(value.detach() for value in values)])
        self._steps += 1

    def _check_finite(self, step: int, student: Outputs, teachers: Sequence[tuple[Outputs, float]]) -> None:
        """A sum that met a NaN or infinity stays so: on a GPU one look in many steps is enough."""
        if self.device.type != "cpu" and step % GPU_CHECK_EVERY:
            return
        self._refuse_non_finite(lambda: _ranges(student, teachers))

    def _refuse_non_finite(self, seen: Callable[[], str] = lambda: "") -> None:
        finite = self._sums[1:].isfinite().tolist()
        if all(finite):
            return
        guilty = ", ".join(term.name for term, fine in zip(self.terms, finite, strict=True) if not fine)
        raise TrainingFailed(
            f"The loss is not finite: term {guilty}, epoch {self.current_epoch + 1}, step {self.global_step}{seen()}. "
            "A lower optimizer.lr, trainer.gradient_clip_val=1.0 or a smaller weight often helps. "
            "The last good checkpoint is kept."
        )

    def on_train_epoch_end(self) -> None:
        self._refuse_non_finite()
        means = self._sums / max(self._steps, 1)
        names = ["loss", *(term.name for term in self.terms)]
        self.log_dict({f"train/{name}": mean for name, mean in zip(names, means, strict=True)}, sync_dist=True)
        self._sums, self._steps = torch.zeros_like(self._sums), 0

    def on_validation_epoch_start(self) -> None:
        self._validated = torch.zeros(3, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        batch = Batch.of(batch)
        outputs = Outputs(self.student(batch.inputs))
        logits, labels = _only(outputs, batch.targets).logits.float(), _labels(outputs, batch.targets)
        correct = (logits.argmax(-1) == labels).sum()
        nll = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        self._validated += torch.stack([correct.double(), nll.double(), correct.new_tensor(len(labels)).double()])

    def on_validation_epoch_end(self) -> None:
        correct, nll, count = self.trainer.strategy.reduce(self._validated, reduce_op="sum")
        self.log_dict({"val/accuracy": 100 * correct / count, "val/nll": nll / count}, rank_zero_only=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._refuse_non_finite()
        forwards = [teacher.samples for teacher in self.teachers]
        progress = {"sums": self._sums.cpu(), "steps": self._steps, "samples": self.samples, "forwards": forwards}
        checkpoint["progress"] = progress

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        progress = checkpoint["progress"]
        self._sums, self._steps, self.samples = progress["sums"], progress["steps"], progress["samples"]
        for teacher, samples in zip(self.teachers, progress["forwards"], strict=True):
            teacher.samples = samples


def _labels(outputs: Outputs, targets: Tensor) -> Tensor:
    return targets[targets != UNLABELLED] if outputs.logits.ndim == 3 else targets


def _only(outputs: Outputs, targets: Tensor) -> Outputs:
    """Sequences: only the tokens that have a target, as (tokens, vocabulary). Images: everything."""
    if outputs.logits.ndim == 3:
        return Outputs(outputs.logits[targets != UNLABELLED], outputs.features)
    return outputs


def _ranges(student: Outputs, teachers: Sequence[tuple[Outputs, float]]) -> str:
    ranges = [f"student logits {_range(student.logits)}"]
    return "; " + ", ".join(ranges + [f"teacher logits {_range(outputs.logits)}" for outputs, _ in teachers])


def _range(logits: Tensor) -> str:
    return f"{logits.min().item():.3g} to {logits.max().item():.3g}"

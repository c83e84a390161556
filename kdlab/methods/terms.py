"""One named, weighted summand of a method's loss."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdlab.losses.shapes import smaller_size
from kdlab.methods.adapters import match_size
from kdlab.methods.gather import gather_samples
from kdlab.methods.shares import scaled
from kdlab.methods.term_settings import Roles, TermSettings
from kdlab.models.taps import Outputs
from kdlab.settings.targets import refused

Weighted = tuple[Outputs, float]  # outputs of a teacher, with its weight among several
Shapes = Mapping[str, torch.Size]  # shape of one sample's features, by role


@dataclass(frozen=True)
class BuildContext:
    """What terms are built from.

    Attributes:
        student: shapes of the student's tapped features.
        teachers: the same of each teacher, in order.
        num_classes: of the data.
        sample_labels: `(training list length,)`, int64, −100 where withheld; None where the data do not provide them.
    """

    student: Shapes
    teachers: Sequence[Shapes]
    num_classes: int
    sample_labels: Tensor | None = None


@dataclass(frozen=True)
class LossInputs:
    """What a loss may read in one step besides logits and features: see `kdlab.methods.term_settings.INPUTS`."""

    labels: Tensor
    index: Tensor | None
    seed: int
    epoch: int
    mixed: "MixedLabels | None" = None


class MixedLabels(NamedTuple):
    """The labels of a batch's second images, where two are mixed to one: `(units,)`, and the share of the first."""

    labels: Tensor
    share: float


class Term(nn.Module):
    """A loss between the student and its teachers, with its adapters and trained parameters.

    The values of several taps are summed, those of several teachers averaged by their weights. Features are compared
    in float32, whatever precision the networks run in.

    Args:
        settings: of the term.
    """

    def __init__(self, settings: TermSettings) -> None:
        super().__init__()
        self.name, self.settings = settings.name, settings
        self.comparisons = nn.ModuleList()

    def build(self, context: BuildContext) -> None:
        """Builds adapters and whatever else the loss owns, initialised from torch's global generator."""
        others = [context.student] if self.settings.source == "self" else context.teachers
        entries = list(zip(self.settings.taps or ((),), self.settings.teacher_taps or ((),), strict=True))
        for other in others if "teacher" in self.settings.inputs else [context.student]:
            shapes = (context.student, other)
            row = [Comparison(self.settings, (own, of), context, shapes) for own, of in entries]
            self.comparisons.append(nn.ModuleList(row))

    def forward(self, student: Outputs, teachers: Sequence[Weighted], inputs: LossInputs) -> Tensor:
        """The unweighted value for one batch: a float32 scalar; of mixed images by the shares of their labels."""
        if inputs.mixed and "labels" in self.settings.inputs:
            other = replace(inputs, labels=inputs.mixed.labels, mixed=None)
            first, second = (self.forward(student, teachers, one) for one in (replace(inputs, mixed=None), other))
            return inputs.mixed.share * first + (1 - inputs.mixed.share) * second
        if self.settings.source == "self" or "teacher" not in self.settings.inputs:
            teachers = [(student, 1.0)]
        total = sum(weight for _, weight in teachers)
        rows: Any = self.comparisons
        values: list[Tensor] = [
            scaled(comparison(student, outputs, inputs), weight / total)
            for row, (outputs, weight) in zip(rows, teachers, strict=True)
            for comparison in row
        ]
        return sum(values[1:], start=values[0])


class Comparison(nn.Module):
    """One value of a term: one tap (or several together) of the student against those of one teacher.

    Args:
        settings: of the term.
        roles: whose features are read: the student's, the teacher's; both empty for logits.
        context: what the loss may be built from.
        shapes: of the student's and of the teacher's features.
    """

    def __init__(
        self, settings: TermSettings, roles: tuple[Roles, Roles], context: BuildContext, shapes: tuple[Shapes, Shapes]
    ) -> None:
        super().__init__()
        self.settings, self.roles = settings, roles
        student, teacher = ([of[role] for role in names] for of, names in zip(shapes, roles, strict=True))
        pairs = list(zip(student, teacher, strict=True))
        if settings.adapter:
            self.adapters = nn.ModuleList(settings.adapter.build(*pair) for pair in pairs)
            pairs = [_adapted_shapes(settings.adapter.side, *pair) for pair in pairs]
        available = {"num_classes": context.num_classes, "sample_labels": context.sample_labels, **_shapes(pairs)}
        self.loss: Callable[..., Any] = _make_loss(settings, available)

    def forward(self, student: Outputs, teacher: Outputs, inputs: LossInputs) -> Tensor:
        own, other = self._compared(student, teacher)
        with torch.autocast(student.logits.device.type, enabled=False):
            available = {
                "student": _float(own),
                "teacher": _float(other),
                "labels": inputs.labels,
                "index": inputs.index,
            }
            arguments: dict[str, Any] = {
                name: value for name, value in available.items() if name in self.settings.inputs
            }
            if self.settings.compares_samples:
                arguments = gather_samples(arguments)
            if "seed" in self.settings.inputs:
                arguments["seed"] = inputs.seed
            value: Tensor = self.loss(**arguments)
        return value

    def _compared(self, student: Outputs, teacher: Outputs) -> tuple[Any, Any]:
        """Logits, features or tuples of features of both sides, adapted to each other."""
        if not self.roles[0]:
            return student.logits, teacher.logits.detach()
        own = [student.features[role] for role in self.roles[0]]
        other = [teacher.features[role].detach() for role in self.roles[1]]
        if self.settings.adapter:
            own, other = self._adapted_features(own, other, self.settings.adapter.side)
        return (own[0], other[0]) if len(own) == 1 else (tuple(own), tuple(other))

    def _adapted_features(self, own: list[Tensor], other: list[Tensor], side: str) -> tuple[list[Tensor], list[Tensor]]:
        own, other = (
            [match_size(feature, target.shape[1:]) for feature, target in zip(features, opposite, strict=True)]
            for features, opposite in ((own, other), (other, own))
        )
        mapped = own if side == "student" else other
        mapped[:] = [adapter(feature) for adapter, feature in zip(self.adapters, mapped, strict=True)]
        return own, other


def _make_loss(settings: TermSettings, available: Mapping[str, Any]) -> Callable[..., Any]:
    """The loss with its arguments: an instance of a class, which may take any of `available`, or a partial."""
    if not inspect.isclass(settings.loss):
        return partial(settings.loss, **settings.arguments)
    parameters = inspect.signature(settings.loss).parameters
    context = {name: value for name, value in available.items() if name in parameters}
    try:
        loss: Any = settings.loss(**settings.arguments, **context)
    except (ValueError, RuntimeError) as error:
        raise refused(f"loss.terms.{settings.name}", settings.loss.__name__, settings.arguments, error) from error
    return loss  # type: ignore[no-any-return]


def _adapted_shapes(side: str, student: torch.Size, teacher: torch.Size) -> tuple[torch.Size, torch.Size]:
    """Both shapes after one side is mapped to the other's width, and the larger map is averaged down."""
    kept = teacher if side == "student" else student
    shape = torch.Size([kept[0], *smaller_size(student, teacher)]) if len(kept) == 3 else kept
    return shape, shape


def _shapes(pairs: Sequence[tuple[torch.Size, torch.Size]]) -> dict[str, Any]:
    if not pairs:
        return {}
    student, teacher = zip(*pairs, strict=True)
    return {
        "student_shape": student[0] if len(pairs) == 1 else student,
        "teacher_shape": teacher[0] if len(pairs) == 1 else teacher,
    }


def _float(features: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return features.float() if isinstance(features, Tensor) else tuple(feature.float() for feature in features)

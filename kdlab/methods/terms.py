"""One named, weighted summand of a method's loss."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from torch import Tensor

from kdlab.errors import BadInput
from kdlab.targets import find

INPUTS = ("student", "teacher", "labels")  # what a step hands to a loss function, by parameter name


@dataclass
class Outputs:
    """What one network made of a batch: `logits`, and `features` by the role of their tap."""

    logits: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """A loss function with its weight, its arguments and the activations that it reads.

    The function receives the inputs that its parameters name: `student` and `teacher` are logits, or one tap's
    features each where `taps` lists roles (the values are then summed over taps); `labels` are class numbers.
    Several teachers are averaged by their weights.
    """

    name: str
    function: Callable[..., Tensor]
    weight: float
    taps: tuple[str, ...]
    arguments: Mapping[str, Any]

    @classmethod
    def from_settings(cls, name: str, settings: Mapping[str, Any]) -> "Term":
        """Reads `loss.terms.<name>`; without `_target_` the function is the one of `kdlab.losses` with that name."""
        arguments = dict(settings)
        target = arguments.pop("_target_", None)
        function = find(target, f"loss.terms.{name}") if target else _own_loss(name)
        weight = _checked_weight(name, arguments.pop("weight", 1.0))
        taps = tuple(arguments.pop("taps", ()))
        _check_arguments(name, function, arguments)
        return cls(name, function, weight, taps, arguments)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Which of `student`, `teacher` and `labels` the function takes."""
        return frozenset(INPUTS) & frozenset(inspect.signature(self.function).parameters)

    def __call__(self, student: Outputs, teachers: Sequence[tuple[Outputs, float]], labels: Tensor) -> Tensor:
        """The unweighted value of this term for one batch."""
        if "teacher" not in self.inputs:
            return self._value(student, None, labels)
        total = sum(weight for _, weight in teachers)
        values = [self._value(student, outputs, labels) * (weight / total) for outputs, weight in teachers]
        return sum(values[1:], start=values[0])

    def _value(self, student: Outputs, teacher: Outputs | None, labels: Tensor) -> Tensor:
        values = [self._of(student, teacher, labels, role) for role in self.taps or (None,)]
        return sum(values[1:], start=values[0])

    def _of(self, student: Outputs, teacher: Outputs | None, labels: Tensor, role: str | None) -> Tensor:
        given: dict[str, Any] = {
            "student": student.features[role] if role else student.logits,
            "teacher": teacher and (teacher.features[role] if role else teacher.logits),
            "labels": labels,
        }
        return self.function(**{name: given[name] for name in self.inputs}, **self.arguments)


def _own_loss(name: str) -> Callable[..., Tensor]:
    losses = importlib.import_module("kdlab.losses")
    if name not in losses.__all__:
        close = get_close_matches(name, losses.__all__, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"kdlab.losses has: {', '.join(losses.__all__)}."
        raise BadInput(
            f"loss.terms.{name}: a term is named after its loss function or names one by _target_; got {name!r}. {hint}"
        )
    return getattr(losses, name)  # type: ignore[no-any-return]


def _checked_weight(name: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise BadInput(f"loss.terms.{name}.weight must be a finite number, 0 or more; got {weight!r}.")
    return float(weight)


def _check_arguments(name: str, function: Callable[..., Tensor], arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(function).parameters
    known = [parameter for parameter in parameters if parameter not in INPUTS]
    for argument in arguments:
        if argument not in known:
            close = get_close_matches(argument, [*known, "weight", "taps"], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes: {', '.join([*known, 'weight', 'taps'])}."
            raise BadInput(f"loss.terms.{name}.{argument}: {function.__name__} has no such argument; {hint}")

"""Settings of `loss.terms.<name>`, read and checked before anything is built."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.adapters import AdapterSettings
from kdlab.settings.numbers import is_weight, is_whole
from kdlab.settings.targets import find

INPUTS = ("student", "teacher", "labels", "index", "seed")  # what a step passes to a loss, by parameter name
CONTEXT = (
    "student_shape",
    "teacher_shape",
    "num_classes",
    "sample_labels",
)  # what a loss may be built from
SHAPES = {"student_shape", "teacher_shape"}  # those that only taps have
SOURCES = ("teacher", "self")

Roles = tuple[str, ...]
Terms = Mapping[str, Mapping[str, Any] | None]  # by name, as in `loss.terms`; None leaves one out


@dataclass(frozen=True)
class TermSettings:
    """A loss with its weight, the epochs in which it is active, and what it compares.

    Attributes:
        name: below `loss.terms`.
        loss: a function, or a class whose instances own parameters or buffers.
        weight: finite, 0 or more.
        taps: for each summed value, the roles whose features the loss reads; empty for logits.
        teacher_taps: the teacher's roles, in the same shape.
        source: what is compared with the student: a `teacher`, or the student itself (`self`).
        adapter: which side is mapped to the other's shape, and by what; None where they are compared as they are.
        warmup: epochs over which the weight rises to its full value.
        from_epoch: the first epoch, from 0, in which the term is active.
        until_epoch: the first epoch in which it is no longer active; None for no end.
        arguments: for the function, or for the class's constructor.
    """

    name: str
    loss: Callable[..., Any]
    weight: float = 1.0
    taps: tuple[Roles, ...] = ()
    teacher_taps: tuple[Roles, ...] = ()
    source: str = "teacher"
    adapter: AdapterSettings | None = None
    warmup: int = 0
    from_epoch: int = 0
    until_epoch: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, settings: Mapping[str, Any]) -> "TermSettings":
        """Reads `loss.terms.<name>`; without `_target_` the loss is the one of `kdlab.losses` with that name.

        Raises:
            BadInput: an unknown loss or argument, or a value out of its range.
        """
        arguments = dict(settings)
        target = arguments.pop("_target_", None)
        loss = find(target, f"loss.terms.{name}") if target else _own_loss(name)
        own = {key: arguments.pop(key) for key in OWN if key in arguments}
        _check_arguments(name, loss, arguments)
        return cls(name, loss, **_checked(name, own), arguments=arguments)

    def __post_init__(self) -> None:
        if [len(roles) for roles in self.taps] != [len(roles) for roles in self.teacher_taps]:
            raise BadInput(
                f"loss.terms.{self.name}.teacher_taps must name one role for each of taps {_listed(self.taps)}, "
                f"got {_listed(self.teacher_taps)}."
            )
        if not self.taps and inspect.isclass(self.loss) and SHAPES & set(inspect.signature(self.loss).parameters):
            raise BadInput(
                f"loss.terms.{self.name}.taps must name the inputs of {self.loss.__name__}: it compares features, "
                f"got no taps. For example loss.terms.{self.name}.taps=[high]."
            )
        if self.source == "self" and not self.taps:
            raise BadInput(
                f"loss.terms.{self.name}.source=self compares features of the student with each other, "
                f"got no taps. Name them: loss.terms.{self.name}.taps=[low] and teacher_taps=[high]."
            )

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Which of `student`, `teacher`, `labels`, `index` and `seed` the loss takes."""
        function = self.loss.forward if inspect.isclass(self.loss) else self.loss  # type: ignore[attr-defined]
        return frozenset(INPUTS) & frozenset(inspect.signature(function).parameters)

    @property
    def needs_teacher(self) -> bool:
        """Whether it reads the outputs of a network other than the student."""
        return "teacher" in self.inputs and self.source == "teacher"

    @property
    def compares_samples(self) -> bool:
        """Whether the loss needs the whole batch at once; see `kdlab.losses.batchwise`."""
        return getattr(self.loss, "compares_samples", False)

    @property
    def roles(self) -> list[str]:
        """The student's taps that the loss reads."""
        of_self = self.teacher_taps if self.source == "self" else ()
        return [role for roles in (*self.taps, *of_self) for role in roles]

    @property
    def teacher_roles(self) -> list[str]:
        """The teachers' taps that the loss reads."""
        return [role for roles in self.teacher_taps for role in roles] if self.needs_teacher else []

    def weight_at(self, epoch: int) -> float:
        """The weight in an epoch, counted from 0."""
        if epoch < self.from_epoch or (self.until_epoch is not None and epoch >= self.until_epoch):
            return 0.0
        return self.weight * min((epoch - self.from_epoch + 1) / max(self.warmup, 1), 1.0)


OWN = tuple(name for name in TermSettings.__dataclass_fields__ if name not in ("name", "loss", "arguments"))


def _checked(name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """kdlab's own settings of a term, with the roles in their full form."""
    setting = f"loss.terms.{name}"
    if not is_weight(weight := own.get("weight", 1.0)):
        raise BadInput(f"{setting}.weight must be a finite number, 0 or more; got {weight!r}.")
    if own.get("source", SOURCES[0]) not in SOURCES:
        raise BadInput(f"{setting}.source must be one of {', '.join(SOURCES)}; got {own['source']!r}.")
    for key, least in (("warmup", 0), ("from_epoch", 0), ("until_epoch", 1)):
        if own.get(key) is not None and not is_whole(own[key], least):
            raise BadInput(f"{setting}.{key} must be a whole number of epochs, {least} or more; got {own[key]!r}.")
    taps = _entries(f"{setting}.taps", own.get("taps", ()))
    teacher_taps = _entries(f"{setting}.teacher_taps", own["teacher_taps"]) if own.get("teacher_taps") else taps
    adapter = AdapterSettings.read(f"{setting}.adapter", own.get("adapter", "none"))
    return {**own, "taps": taps, "teacher_taps": teacher_taps, "adapter": adapter}


def _entries(setting: str, taps: Any) -> tuple[Roles, ...]:
    """`[low, [mid, high]]` as `((low,), (mid, high))`."""
    if isinstance(taps, Sequence) and not isinstance(taps, str):
        lists = [[tap] if isinstance(tap, str) else tap for tap in taps]
        if all(isinstance(roles, list) and all(isinstance(role, str) for role in roles) for roles in lists):
            return tuple(tuple(roles) for roles in lists)
    raise BadInput(f"{setting} must be a list of roles such as [mid, high], got {taps!r}.")


def _own_loss(name: str) -> Callable[..., Any]:
    losses = importlib.import_module("kdlab.losses")
    if name not in losses.__all__:
        close = get_close_matches(name, losses.__all__, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"kdlab.losses has: {', '.join(losses.__all__)}."
        raise BadInput(
            f"loss.terms.{name}: a term is named after its loss function or names one by _target_; got {name!r}. {hint}"
        )
    return getattr(losses, name)  # type: ignore[no-any-return]


def _check_arguments(name: str, loss: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    parameters = inspect.signature(loss).parameters
    known = [parameter for parameter in parameters if parameter not in (*INPUTS, *CONTEXT)]
    for argument in arguments:
        if argument not in known:
            close = get_close_matches(argument, [*known, *OWN], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes: {', '.join([*known, *OWN])}."
            raise BadInput(f"loss.terms.{name}.{argument}: {loss.__name__} has no such argument; {hint}")
    for parameter in known:
        if parameter not in arguments and parameters[parameter].default is inspect.Parameter.empty:
            raise BadInput(
                f"loss.terms.{name}.{parameter} is missing: {loss.__name__} has no default for it. "
                f"Set loss.terms.{name}.{parameter}=…"
            )


def _listed(entries: Sequence[Roles]) -> str:
    return "[" + ", ".join(roles[0] if len(roles) == 1 else f"[{', '.join(roles)}]" for roles in entries) + "]"


def merge_terms(own: Terms, overrides: Terms | None) -> Terms:
    """The terms that a method makes from its arguments, merged with overrides and further terms.

    Args:
        own: of the method.
        overrides: replace settings one by one; None for none.
    """
    overrides = overrides or {}
    rest = {name: settings for name, settings in own.items() if name not in overrides}
    merged = {
        name: settings if settings is None else {**(own.get(name) or {}), **settings}
        for name, settings in overrides.items()
    }
    return {**rest, **merged}

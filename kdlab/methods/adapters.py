"""Adapters: trained layers that map features of one network to the shape of another's.

An adapter changes the width. `match_size`, applied to both sides, changes the size: the larger map is averaged down to
the other's height and width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isclass, signature
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.errors import BadInput, first_line
from kdlab.losses.shapes import pool_to, smaller_size
from kdlab.settings.targets import check_known, find, refused

SIDES = ("student", "teacher")
KINDS = {1: "a vector", 2: "tokens", 3: "a map"}


@dataclass(frozen=True)
class AdapterSettings:
    """Which side of a term is mapped to the other's shape, and by what.

    Attributes:
        side: `student` or `teacher`; the adapter of a teacher keeps its initial weights: a trained target could
            collapse to a trivial one.
        kind: a class of the user's, built from the shapes `own` and `other` (see `make_adapter`) and `arguments`; None
            for `make_adapter` itself.
        arguments: further arguments of the class.
        setting: the config key, for messages.
    """

    side: str
    kind: type[nn.Module] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    setting: str = "adapter"

    @classmethod
    def read(cls, setting: str, value: Any) -> "AdapterSettings | None":
        """Reads `none`, `student`, `teacher`, or a class by `_target_` with its `side`; None for `none`.

        Raises:
            BadInput: it is none of these, or the class does not take the shapes or the arguments.
        """
        if not isinstance(value, Mapping):
            if value not in ("none", *SIDES):
                raise BadInput(
                    f"{setting} must be one of none, student, teacher, or a class such as "
                    f"{{_target_: my.module.Adapter, side: student}}; got {value!r}."
                )
            return None if value == "none" else cls(value, setting=setting)
        arguments = dict(value)
        side, target = arguments.pop("side", SIDES[0]), arguments.pop("_target_", None)
        if side not in SIDES:
            raise BadInput(
                f"{setting}.side must be {' or '.join(SIDES)}, got {side!r}. For example {setting}.side=student."
            )
        if target is None:
            raise BadInput(
                f"{setting}._target_ is missing, got {dict(value)!r}. Set {setting}._target_=my.module.Adapter."
            )
        kind = find(target, setting)
        _check_class(setting, kind, arguments)
        return cls(side, kind, arguments, setting)

    def build(self, student: torch.Size, teacher: torch.Size) -> nn.Module:
        """The adapter between features of these shapes, without the batch; initialised from torch's global generator.

        Raises:
            BadInput: there is none, or the user's class raises or returns features of another shape.
        """
        own, other = (student, teacher) if self.side == "student" else (teacher, student)
        adapter = self._build_custom(own, other) if self.kind else make_adapter(own, other) or nn.Identity()
        return adapter.requires_grad_(self.side == "student")

    def _build_custom(self, own: torch.Size, other: torch.Size) -> nn.Module:
        """Builds the user's class and runs it once in eval mode, so that a wrong shape is found before training."""
        assert self.kind is not None
        name = self.kind.__name__
        try:
            adapter = self.kind(own=own, other=other, **self.arguments)
        except Exception as error:  # the user's own code may raise anything
            raise refused(self.setting, name, {"own": own, "other": other, **self.arguments}, error) from error
        features, expected = match_size(torch.zeros(2, *own), other), match_size(torch.zeros(2, *other), own).shape[1:]
        try:
            with torch.no_grad():
                found = adapter.eval()(features).shape[1:]
        except Exception as error:
            raise BadInput(
                f"{self.setting}: {name} does not take features of shape {tuple(features.shape[1:])}: "
                f"{first_line(error).rstrip('.')}. Maps are averaged down to the other's size if that is smaller."
            ) from error
        if found != expected:
            raise BadInput(
                f"{self.setting}: {name} must map features of shape {tuple(features.shape[1:])} to {tuple(expected)}, "
                f"got {tuple(found)}. Make it from `own` and `other`, or tap other layers."
            )
        return adapter.train()


def _check_class(setting: str, kind: Any, arguments: Mapping[str, Any]) -> None:
    if not isclass(kind) or not issubclass(kind, nn.Module):
        raise BadInput(f"{setting}._target_ must name a torch.nn.Module class, got {kind!r}. Name the class itself.")
    parameters = signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    if missing := [name for name in ("own", "other") if name not in parameters]:
        raise BadInput(
            f"{setting}: {kind.__name__} must take the shapes `own` and `other` of the features, without the batch; "
            f"got no {' and '.join(missing)}. Add them to its __init__."
        )
    check_known(setting, arguments, [name for name in parameters if name not in ("own", "other")])


def make_adapter(own: torch.Size, other: torch.Size) -> nn.Module | None:
    """The layer that maps one network's features to the shape of another's, where the shapes differ.

    Args:
        own: shape, without the batch, of the features that the layer maps: `(features,)`,
            `(tokens, channels)` or `(channels, height, width)`.
        other: shape of the features to match, of the same kind.

    Returns:
        None where the shapes are equal. For maps a 1×1 convolution and BatchNorm, which keep the size; for maps of
        one position, for vectors and for each of the tokens, an affine layer.

    Raises:
        BadInput: the two are not of one kind, or differ in the number of tokens.
    """
    if own == other:
        return None
    if len(own) != len(other) or len(own) not in KINDS:
        raise BadInput(
            f"adapter: no layer maps {_described(own)} to {_described(other)}. Tap layers of one kind in both "
            "networks: two maps, two vectors or two sequences of tokens."
        )
    if len(own) == 3:
        return _map_adapter(own, other)
    if own[:-1] != other[:-1]:
        raise BadInput(
            f"adapter: {_described(own)} and {_described(other)} differ in the number of tokens, so "
            "tokens cannot be paired. Tap layers with equally many tokens, maps, or vectors."
        )
    return nn.Linear(own[-1], other[-1])


def match_size(features: Tensor, other: Sequence[int]) -> Tensor:
    """Maps averaged down to the height and width of other maps where those are smaller; the rest as it is.

    Args:
        features: `(batch, …)`.
        other: the other features' shape without the batch.
    """
    if features.ndim != 4 or len(other) != 3:
        return features
    return pool_to(features, smaller_size(features.shape, other))


def _map_adapter(own: torch.Size, other: torch.Size) -> nn.Module:
    """Without BatchNorm for maps of one position: a single position of a single sample has no variance."""
    if smaller_size(own, other) == (1, 1):
        return nn.Conv2d(own[0], other[0], kernel_size=1)
    return nn.Sequential(nn.Conv2d(own[0], other[0], kernel_size=1, bias=False), nn.BatchNorm2d(other[0]))


def _described(shape: torch.Size) -> str:
    return f"{KINDS.get(len(shape), 'something')} of shape {tuple(shape)}"

"""What is wanted of a source, and what to say where it cannot be had."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from kdlab.errors import BadInput, first_line


@dataclass(frozen=True)
class Wanted:
    """A network as a config describes it; see `kdlab.models.build.build_network`."""

    source: str
    name: str
    num_classes: int
    kwargs: dict[str, Any]
    pretrained: bool
    setting: str


def create(make: Callable[..., Any], wanted: Wanted, **chosen: Any) -> Any:
    """What a library's function makes; a failed download and arguments that do not bind are explained."""
    try:
        return make(wanted.name, **chosen, **wanted.kwargs)
    except OSError as error:
        raise _unfetched(wanted, error) from error
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise unbound(wanted, error, type(make(wanted.name))) from error


def _unfetched(wanted: Wanted, error: OSError) -> BadInput:
    key = "pretrained" if wanted.pretrained else "name"
    return BadInput(
        f"{wanted.setting}.{key}: what is published for {wanted.name!r} could not be fetched "
        f"({first_line(error)[:200]}); without a network, set pretrained to false, name an architecture, and give "
        f"weights as a file by {wanted.setting}.checkpoint"
    )


def unbound(wanted: Wanted, error: TypeError, make: Callable[..., Any]) -> BadInput:
    """The error for arguments that a network's constructor does not take."""
    accepted = [key for key in inspect.signature(make).parameters if key != "num_classes"]
    return BadInput(
        f"{wanted.setting}.kwargs: {wanted.name} cannot take {wanted.kwargs} ({first_line(error)[:200]}); "
        f"accepted: {', '.join(accepted)}"
    )


def unknown_name(wanted: Wanted, names: Iterable[str]) -> BadInput:
    """The error for a network that the source does not have."""
    return BadInput(
        f"{wanted.setting}.name: {wanted.source} has no network {wanted.name!r}; closest: {closest(wanted.name, names)}"
    )


def closest(name: str, names: Iterable[str]) -> str:
    """The names most like a name, for messages; the first ones where none is like it."""
    names = list(names)
    return ", ".join(get_close_matches(name, names, n=3, cutoff=0.4) or names[:3])

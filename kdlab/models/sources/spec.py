"""The network that a config describes, and the errors of sources that cannot build it."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from kdlab.errors import BadInput, first_line


@dataclass(frozen=True)
class NetworkSpec:
    """The arguments of `kdlab.models.build.build_network`."""

    source: str
    name: str
    num_classes: int
    kwargs: dict[str, Any]
    pretrained: bool
    setting: str


def create(make: Callable[..., Any], spec: NetworkSpec, **options: Any) -> Any:
    """Call a library's constructor; a failed download or wrong arguments raise `BadInput`."""
    try:
        return make(spec.name, **options, **spec.kwargs)
    except OSError as error:
        raise _download_failed(spec, error) from error
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise wrong_arguments(spec, error, type(make(spec.name))) from error


def _download_failed(spec: NetworkSpec, error: OSError) -> BadInput:
    key = "pretrained" if spec.pretrained else "name"
    return BadInput(
        f"{spec.setting}.{key}: the published files of {spec.name!r} could not be fetched "
        f"({first_line(error)[:200]}); offline, set pretrained to false, name an architecture, and give "
        f"weights as a file by {spec.setting}.checkpoint"
    )


def wrong_arguments(spec: NetworkSpec, error: TypeError, make: Callable[..., Any]) -> BadInput:
    """The error for arguments that a network's constructor does not take."""
    accepted = [key for key in inspect.signature(make).parameters if key != "num_classes"]
    return BadInput(
        f"{spec.setting}.kwargs: {spec.name} cannot take {spec.kwargs} ({first_line(error)[:200]}); "
        f"accepted: {', '.join(accepted)}"
    )


def unknown_name(spec: NetworkSpec, names: Iterable[str]) -> BadInput:
    """The error for a network that the source does not have."""
    return BadInput(
        f"{spec.setting}.name: {spec.source} has no network {spec.name!r}; closest: {closest(spec.name, names)}"
    )


def closest(name: str, names: Iterable[str]) -> str:
    """The most similar names, for messages; the first ones where none is similar."""
    names = list(names)
    return ", ".join(get_close_matches(name, names, n=3, cutoff=0.4) or names[:3])

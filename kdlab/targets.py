"""Objects that a config names by `_target_`: checked before anything trains, and built with honest errors."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from kdlab.errors import BadInput, KdlabError


def build(settings: Mapping[str, Any], setting: str) -> Any:
    """What `settings` describe, with plain values for arguments; nested settings reach it as they are.

    Args:
        settings: `_target_` and its arguments; with `_partial_` it is a function that still wants some.
        setting: the config key, for the error.

    Raises:
        BadInput: the target cannot be imported or refuses its arguments.
    """
    try:
        return instantiate(dict(settings), _recursive_=False, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, KdlabError):
            raise error.__cause__ from None
        reason = str(error.__cause__ or error).splitlines()[0]
        raise BadInput(f"{setting}: {settings.get('_target_')} could not be made: {reason}") from error


def check_arguments(settings: Mapping[str, Any], setting: str) -> None:
    """Refuses arguments that a target does not take, naming the closest that it does.

    Raises:
        BadInput: also when there is no such target.
    """
    try:
        target = get_object(settings["_target_"])
    except Exception as error:  # importing a target runs its module, which may raise anything
        raise BadInput(f"{setting}._target_: {settings['_target_']!r} cannot be imported: {error}") from error
    parameters = inspect.signature(target).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        check_known(setting, (key for key in settings if key not in ("_target_", "_partial_")), parameters)


def check_known(setting: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses keys that are not known, naming the closest one that is.

    Raises:
        BadInput: for the first that is not.
    """
    allowed = list(known)
    for key in given:
        if key not in allowed:
            close = get_close_matches(key, allowed, n=1)
            hint = f"Did you mean {setting}.{close[0]}?" if close else f"It takes: {', '.join(allowed)}."
            raise BadInput(f"{setting}.{key} is not a setting. {hint}")

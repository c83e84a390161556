"""Objects that a config names by `_target_`: checked before anything trains, and built with clear errors."""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import partial, reduce
from typing import Any

from omegaconf import OmegaConf

from kdlab.errors import BadInput, KdlabError

TARGET, PARTIAL = "_target_", "_partial_"


def build(settings: Mapping[str, Any], setting: str) -> Any:
    """Builds what `settings` describe, with plain values for arguments; nested settings are passed on unchanged.

    Args:
        settings: `_target_` and its arguments; with `_partial_` a function that takes the remaining ones.
        setting: the config key, for the error.

    Raises:
        BadInput: the target cannot be imported or refuses its arguments.
    """
    check_arguments(settings, setting)
    if OmegaConf.is_config(settings):
        settings = OmegaConf.to_container(settings, resolve=True)  # type: ignore[assignment]
    target, given = find(settings[TARGET], setting), _arguments(settings)
    if settings.get(PARTIAL):
        return partial(target, **given)
    try:
        return target(**given)
    except KdlabError:
        raise
    except Exception as error:  # the class's own code may raise anything
        raise refused(setting, settings[TARGET], given, error) from error


def refused(setting: str, target: object, given: Mapping[str, Any], error: BaseException) -> BadInput:
    """The error for a class that does not take its arguments, with the class's own message."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    values = ", ".join(f"{name}={value!r}" for name, value in given.items()) or "a call without arguments"
    return BadInput(f"{setting}: {target} refuses {values}: {reason.rstrip('.')}. Change the value that it names.")


def check_arguments(settings: Any, setting: str) -> None:
    """Refuses arguments that a target does not take, naming the closest that it does.

    Raises:
        BadInput: also when there is no such target.
    """
    if not isinstance(settings, Mapping) or "_target_" not in settings:
        raise BadInput(
            f"{setting} needs a class or function to build, got {settings!r}. Is the name right? "
            f"A new one needs {setting}._target_=package.module.Name."
        )
    parameters = inspect.signature(find(settings["_target_"], setting)).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        check_known(setting, _arguments(settings), parameters)


def find(target: str, setting: str) -> Any:
    """The class or function that a `_target_` names.

    Raises:
        BadInput: it cannot be imported.
    """
    try:
        return _imported(target)
    except Exception as error:  # importing a target runs its module, which may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(
            f"{setting}._target_ must name what can be imported, such as torch.optim.SGD; got {target}. ({reason})"
        ) from error


def check_known(setting: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuses keys that are not known, naming the closest one that is.

    Raises:
        BadInput: for the first that is not.
    """
    allowed = list(known)
    for key, value in given.items():
        if key not in allowed:
            close = get_close_matches(key, allowed, n=1)
            hint = f"Did you mean {setting}.{close[0]}?" if close else f"It takes: {', '.join(allowed)}."
            raise BadInput(f"{setting}.{key} is not a setting, got {value!r} for it. {hint}")


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in settings.items() if name not in (TARGET, PARTIAL)}


def _imported(target: str) -> Any:
    """The object at a dotted path: attributes of the longest part of it that is a module."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and what it imports is not
            continue
        return reduce(getattr, parts[length:], found)
    return importlib.import_module(parts[0])

"""From overrides to composed configs, checked before anything runs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from kdlab.config.folders import CONF
from kdlab.config.overrides import (
    cells,
    check_options,
    check_values,
    group_names,
    is_group,
    is_there,
    needs_adding,
    parse,
)
from kdlab.config.package_overrides import group_with_package, has_user_name
from kdlab.config.search_path import use_kdlab_config
from kdlab.errors import BadInput

HYDRA_SINGLETONS = (GlobalHydra, HydraConfig, JobRuntime, VersionBase)  # one of each in a process


@dataclass(frozen=True)
class Multirun:
    """What a multirun varies.

    Attributes:
        typed: the command line's overrides.
        from_file: what the sweep's own file varies, as overrides.
        question: the first line of that file; None for a multirun that was only typed.
    """

    typed: Sequence[Override]
    from_file: Sequence[Override]
    question: str | None


@dataclass(frozen=True)
class Checked:
    """A command line that Hydra will accept.

    Attributes:
        overrides: with the `+` that Hydra needs below nodes declared open.
        config: composed; of a multirun, its first cell.
        multirun: what it varies; None for one run.
    """

    overrides: list[str]
    config: DictConfig
    multirun: Multirun | None


def checked_overrides(overrides: Sequence[str], *, multirun: bool = False, folder: str | None = None) -> Checked:
    """Checks a command line before anything runs.

    Args:
        overrides: as typed.
        multirun: whether `-m` was given.
        folder: a further config folder (`--config-dir`).

    Raises:
        BadInput: no such group, option or key; the closest one is named.
    """
    with hydra_app(folder) as app:
        loader = app.config_loader
        typed = _read(overrides, loader)
        chosen = _groups(typed, loader)
        base = _compose(next(cells(chosen)))
        if not multirun and base.hydra.mode != RunMode.MULTIRUN and not _sets_multirun(typed):
            for override in typed:
                check_values(override, sweeper=None)
            added = _added(typed, [_plain(base)], loader)
            lines = [_line(override, added, loader) for override in typed]
            written = [replace(override, input_line=line) for override, line in zip(typed, lines, strict=True)]
            return Checked(lines, base if typed == chosen else _with_values(base, written, loader), None)
        return _checked_sweep(typed, base, loader)


def compose_config(overrides: Sequence[str], folder: str | None = None, *, multirun: bool = False) -> DictConfig:
    """The composed config of one run, as the train command would see it, which no longer refers to Hydra.

    Args:
        overrides: as typed.
        folder: a further config folder (`--config-dir`).
        multirun: whether `-m` was given: the config is that of the first cell.

    Raises:
        BadInput: no such group, option or key; the closest one is named.
    """
    config = checked_overrides(overrides, multirun=multirun, folder=folder).config
    with _hydra_set_aside(), open_dict(config):
        HydraConfig.instance().set_config(config)
        for key in _referring_to_hydra(OmegaConf.to_container(config, resolve=False)):
            OmegaConf.update(config, key, OmegaConf.select(config, key))
        del config["hydra"]
    return config


@contextmanager
def hydra_app(folder: str | None = None) -> Iterator[Hydra]:
    """Hydra with kdlab's search path, in the body only; a Hydra that was initialised before is restored after it.

    Args:
        folder: a further config folder, searched first.

    Raises:
        BadInput: there is no such folder.
    """
    use_kdlab_config()
    search_path = create_config_search_path(str(CONF))
    if folder:
        if not Path(folder).is_dir():
            raise BadInput(f"--config-dir must be a folder of further configs, got {folder}, which is not there.")
        search_path.prepend("command-line", f"file://{Path(folder).absolute()}")
    with _hydra_set_aside():
        version.setbase("1.3")
        yield Hydra.create_main_hydra2("train", search_path)


@contextmanager
def _hydra_set_aside() -> Iterator[None]:
    before: dict[type, Singleton] = {
        kind: Singleton._instances.pop(kind) for kind in HYDRA_SINGLETONS if kind in Singleton._instances
    }
    try:
        yield
    finally:
        for kind in HYDRA_SINGLETONS:
            Singleton._instances.pop(kind, None)
        Singleton._instances.update(before)


def _referring_to_hydra(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key != "hydra":
            yield from _referring_to_hydra(value, f"{key}.")
        elif isinstance(value, str) and "${hydra:" in value:
            yield key


def _checked_sweep(typed: Sequence[Override], base: DictConfig, loader: ConfigLoader) -> Checked:
    """Checks what is typed and what the sweep's own file varies, with every option that either of them chooses."""
    varied = _read(_params(base), loader)
    for override in (*typed, *varied):
        check_values(override, base.hydra.sweeper._target_)
    chosen, plain = _groups([*typed, *varied], loader), cache(_composed_plain)
    added = _added([*typed, *varied], [plain(*lines) for lines in cells(chosen)], loader)
    _check_pluses(varied, added | _absent_before_the_sweep([*typed, *varied], loader, plain))
    added |= _absent_before_the_sweep(typed, loader, plain)
    lines = [_line(override, added, loader) for override in typed]
    fixed = [line for line, override in zip(lines, typed, strict=True) if not override.is_sweep_override()]
    varied = _read(_params(_compose(fixed)), loader)  # multiples of what is typed
    every = _read([*(_line(override, added, loader) for override in varied), *lines], loader)
    config = _compose(next(cells(every)))
    return Checked(
        lines, config, Multirun(typed, varied, _question(config.hydra.runtime.choices.get("sweeps"), loader))
    )


def _question(option: str | None, loader: ConfigLoader) -> str | None:
    """The first line of a sweep's file that is a comment and not Hydra's."""
    for source in loader.get_sources() if option else ():
        path = Path(source.path) / "sweeps" / f"{option}.yaml"
        if path.is_file():
            lines = (line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
            return next((line for line in lines if not line.startswith("@")), None)
    return None


def _params(config: DictConfig) -> list[str]:
    """What the sweep's own file varies, as overrides: resolved, as a sweeper reads it.

    Raises:
        BadInput: a value refers to a setting that does not exist.
    """
    params = config.hydra.sweeper.get("params") or {}
    try:
        return [f"{key}={params[key]}" for key in params]
    except OmegaConfBaseException as error:
        raise BadInput(f"hydra.sweeper.params: {str(error).splitlines()[0]}. Name a setting that exists.") from error


def _check_pluses(varied: Sequence[Override], added: Collection[str]) -> None:
    """Checks the pluses of a sweep's file, whose lines Hydra takes unchanged.

    Raises:
        BadInput: a key has to be added, and its line has no `++`.
    """
    for override in varied:
        if override.key_or_group in added and not override.is_force_add():
            key = override.key_or_group
            raise BadInput(
                f"hydra.sweeper.params: {key} is not in the config and must be added, with two pluses in the sweep's "
                f"file, got {override.get_key_element()}. Write ++{key}: …"
            )


def _compose(lines: Sequence[str]) -> DictConfig:
    try:
        return compose("train", list(lines), return_hydra_config=True)
    except MarkedYAMLError as error:
        at = error.problem_mark
        where = f"{at.name}, line {at.line + 1}, column {at.column + 1}" if at else "a file"
        raise BadInput(f"{where}: this is no YAML ({error.problem}). Correct the file.") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _bad_input(error) from error


def _bad_input(error: Exception) -> BadInput:
    reason, _, _ = str(error).partition("\nTo append to your default list")  # here a plus makes no difference
    return BadInput(" ".join(reason.split()))


def _with_values(base: DictConfig, overrides: Sequence[Override], loader: ConfigLoader) -> DictConfig:
    """Applies values to the config that the groups of `overrides` compose: values come last and choose no file.

    Args:
        base: composed of the overrides that choose options; changed in place.
        overrides: all of them, in order, as Hydra takes them.
        loader: of Hydra's app.
    """
    lines = [override.input_line or "" for override in overrides]
    if any(override.is_hydra_override() for override in overrides):  # some of them decide where Hydra looks
        return _compose(lines)
    values = [line for line, override in zip(lines, overrides, strict=True) if not is_group(override, loader)]
    try:
        ConfigLoaderImpl._apply_overrides_to_config(parse(values, loader), base)
    except (HydraException, OmegaConfBaseException) as error:
        raise _bad_input(error) from error
    with flag_override(base.hydra, ["struct", "readonly"], False):
        base.hydra.overrides.task = lines
        base.hydra.job.override_dirname = get_overrides_dirname(
            list(overrides), **base.hydra.job.config.override_dirname
        )
    return base


def _read(lines: Sequence[str], loader: ConfigLoader) -> list[Override]:
    """Parses overrides and checks their options; a new package that the user names gets the plus that Hydra needs."""
    overrides = parse(lines, loader)
    chosen = _groups(overrides, loader)
    for override in chosen:
        check_options(override, loader)
    if not any(has_user_name(override) for override in chosen):
        return overrides
    elsewhere = [override for override in chosen if override.package is None]
    filled = _compose(next(cells(elsewhere))).hydra.runtime.choices
    return [
        _with_plus(override) if has_user_name(override) and group_with_package(override) not in filled else override
        for override in overrides
    ]


def _with_plus(override: Override) -> Override:
    return replace(override, type=OverrideType.ADD, input_line=f"+{override.input_line}")


def _groups(overrides: Sequence[Override], loader: ConfigLoader) -> list[Override]:
    return [override for override in overrides if is_group(override, loader)]


def _composed_plain(*lines: str) -> Any:
    return _plain(_compose(lines))


def _plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False)


def _added(overrides: Sequence[Override], bases: Sequence[Any], loader: ConfigLoader) -> set[str]:
    """The keys that have to be added, in any of the configs that the groups compose, as plain values."""
    values = [override for override in overrides if not is_group(override, loader)]
    return {value.key_or_group for value in values if _is_added(value, bases)}


def _is_added(value: Override, bases: Sequence[Any]) -> bool:
    """A sweep may set a plan's setting that only some of its plans have; the others do not read it.

    Raises:
        BadInput: any other setting that one of the configs does not have, or one of a plan that none has.
    """
    added, refused = False, None
    for base in bases:
        try:
            added |= needs_adding(value, base, group_names())
        except BadInput as error:
            refused = refused or error
    one_of_several = (value.key_or_group or "").startswith("plan.") and len(bases) > 1
    if refused and not (one_of_several and any(_has(base, value.key_or_group) for base in bases)):
        raise refused
    return added or refused is not None


def _has(base: Any, key: str) -> bool:
    return OmegaConf.select(OmegaConf.create(base), key, throw_on_missing=False) is not None


def _absent_before_the_sweep(typed: Sequence[Override], loader: ConfigLoader, plain: Callable[..., Any]) -> set[str]:
    """The keys that only options of a sweep add: Hydra first composes what is typed without what varies.

    Args:
        typed: overrides.
        loader: of Hydra's app.
        plain: the config that options compose, as plain values.
    """
    fixed = [override for override in _groups(typed, loader) if not override.is_sweep_override()]
    base = plain(*next(cells(fixed)))
    values = [override for override in typed if not is_group(override, loader) and not override.is_delete()]
    return {override.key_or_group for override in values if not is_there(base, override.key_or_group)}


def _line(override: Override, added: set[str], loader: ConfigLoader) -> str:
    """With `++` for a key to be added, without a plus for one that is there; groups as they were typed."""
    line = override.input_line or ""
    if override.key_or_group in added:
        return f"++{line.lstrip('+')}"
    return line if is_group(override, loader) else line.lstrip("+")


def _sets_multirun(typed: Sequence[Override]) -> bool:
    return any(override.key_or_group == "hydra.mode" and "MULTIRUN" in str(override.value()) for override in typed)

"""What a command line may change: an unknown group, option or key is an error that names the closest one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from kdlab.config.extras import check_installed
from kdlab.config.folders import CONF
from kdlab.config.package_overrides import (
    check_package,
    check_transfer_setting,
    group_with_package,
    is_package,
    package_of,
)
from kdlab.errors import BadInput
from kdlab.settings.old_names import without_old_names

OPEN = (  # nodes below which any key may be added
    "trainer",
    "*.kwargs",
    "*.taps",
    "optimizer",
    "scheduler",
    "*.optimizer",
    "*.scheduler",
    "callbacks",
    "loss.terms",
    "plan.*",
    "hydra.sweeper.params",
    "hydra.job.env_set",
    "hydra.launcher.*",
)
GRID = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"  # the sweeper that runs every combination
SEVERAL = ("callbacks", "logger")  # groups of which a run may have more than one option
ABSENT = object()


def parse(lines: Sequence[str], loader: ConfigLoader) -> list[Override]:
    """Overrides as Hydra understands them; kdlab's own groups are all chosen already, and take no plus.

    Raises:
        BadInput: one of them cannot be read.
    """
    overrides = [_parsed(line, loader) for line in lines]
    return [
        _parsed(line.lstrip("+"), loader) if override.key_or_group in group_names() else override
        for line, override in zip(lines, overrides, strict=True)
    ]


def is_group(override: Override, loader: ConfigLoader) -> bool:
    """Whether it chooses an option of a config group, rather than setting a value."""
    group = override.key_or_group
    return group in ("sweeps", *group_names()) or ("." not in group and bool(_options(group, loader)))


def check_options(override: Override, loader: ConfigLoader) -> None:
    """Refuses options that a group does not have, also within a sweep, and packages that it cannot have.

    Raises:
        BadInput: naming the closest option, or the package.
    """
    check_package(override)
    group, line = group_with_package(override), override.input_line
    options = sorted(name for name in _options(override.key_or_group, loader) if not name.startswith("_"))
    if override.is_delete():
        raise BadInput(f"{line}: {group} cannot be removed. {_closest_option(group, '', options)}")
    if isinstance(override.value(), list) and not override.is_sweep_override() and group not in SEVERAL:
        raise BadInput(f"{line}: {group} takes one option at a time. A run with each: -m {group}=one,another")
    for choice in _chosen(override):
        check_installed(group, choice, options)
        if choice not in options:
            raise BadInput(f"{line}: {group} has no option {choice!r}. {_closest_option(group, choice, options)}")
    if group == "sweeps" and not override.is_add():
        raise BadInput(f"{line}: a sweep is added to the experiment, with a plus: +{(line or '').lstrip('+')}")


def check_values(override: Override, sweeper: str | None) -> None:
    """Refuses several values for one run, and an interval for a sweeper that cannot sample from it.

    Args:
        override: any.
        sweeper: the class of a sweep's sweeper; None for one run.

    Raises:
        BadInput: naming what to type instead.
    """
    key, line = override.get_key_element(), override.input_line
    if sweeper is None and override.is_sweep_override():
        raise BadInput(f"{line}: one run takes one value. Add -m for a run with each, or {key}=[…] for a list.")
    if override.is_interval_sweep() and sweeper == GRID:
        raise BadInput(
            f"{line}: an interval needs a sweeper that samples from it. List values, or choose hydra/sweeper=optuna."
        )


def needs_adding(override: Override, base: Mapping[str, Any], groups: Sequence[str]) -> bool:
    """Whether a value is for a key that is not there yet, below a node that is open to more keys.

    Args:
        override: of a value, not of a group.
        base: the config that the groups compose, as plain values.
        groups: the names of all config groups.

    Raises:
        BadInput: the key is not a setting, or is a node with settings of its own.
    """
    key = override.key_or_group
    check_transfer_setting(override)
    node = _node(base, key)
    if node is ABSENT:
        if override.is_delete() or not _is_open(base, key):  # nothing to delete, or no key may be added
            where = _chosen_in(base, key)
            raise BadInput(f"{override.input_line}: {key} is not a setting{where}. {_closest_key(base, key, groups)}")
        return True
    if override.is_delete() and not _is_open(base, key):
        raise BadInput(f"{override.input_line}: {key} cannot be removed. Give it another value: {key}=…")
    is_node = isinstance(node, dict) or (is_package(key) and override.value() is not None)
    if is_node and not override.is_delete() and not isinstance(override.value(), dict):
        raise BadInput(f"{override.input_line}: {key} is not a single value. {_below(node, override, groups)}")
    return isinstance(override.value(), dict) and _is_open(base, f"{key}.<name>")  # it may add keys


def is_there(base: Mapping[str, Any], key: str) -> bool:
    """Whether a config, as plain values, has a key."""
    return _node(base, key) is not ABSENT


def cells(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Cells that together have every value of a sweep: the first, then the first with one value changed at a time."""
    choices = [lines for lines in map(_values, overrides) if lines]
    first = [lines[0] for lines in choices]
    yield first
    for position, lines in enumerate(choices):
        for line in lines[1:]:
            yield [*first[:position], line, *first[position + 1 :]]


@cache
def group_names() -> tuple[str, ...]:
    """Every config group of kdlab's own, such as `data` and `model/teacher`."""
    return tuple(path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir())


@lru_cache(maxsize=64)
def _options(group: str, loader: ConfigLoader) -> tuple[str, ...]:
    """Cached for each loader, which reads its whole search path for it."""
    return tuple(loader.get_group_options(group))


def _parsed(line: str, loader: ConfigLoader) -> Override:
    try:
        return OverridesParser.create(loader).parse_overrides([line])[0]
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"{line}: this is no override. One is written key=value, without spaces around the =, and in quotes "
            f"where the value has special characters: 'key=\"a b\"'.{f' ({reason})' if line not in reason else ''}"
        ) from error


def _chosen(override: Override) -> list[str]:
    if override.is_interval_sweep():
        return []
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    value = override.value()
    return ["null" if choice is None else str(choice) for choice in (value if isinstance(value, list) else [value])]


def _values(override: Override) -> list[str]:
    """The override once for each value that it sweeps over; an interval, which only a sweeper samples, has none."""
    if override.is_interval_sweep():
        return []
    if override.is_sweep_override():
        return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    return [override.input_line or ""]


def _node(base: Mapping[str, Any], key: str) -> Any:
    node: Any = base
    for part in key.split("."):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            return ABSENT
    return node


def _chosen_in(base: Mapping[str, Any], key: str) -> str:
    group = package_of(key)[1] or key.partition(".")[0]
    option = base["hydra"]["runtime"]["choices"].get(group)
    return f" with {group}={option}" if option and "." in key else ""


def _is_open(base: Mapping[str, Any], key: str) -> bool:
    parts = key.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    return any(
        fnmatchcase(path, pattern) and isinstance(_node(base, _first(path)), dict | None)
        for path in above
        for pattern in OPEN
    )


def _first(path: str) -> str:
    """Steps and generations of a plan are numbered: a plan that has the first is open to the others."""
    return re.sub(r"\d+$", "1", path)


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")


def _closest_key(base: Mapping[str, Any], key: str, groups: Sequence[str]) -> str:
    """The closest by the wrong part, by the whole key, or by its last part (`temprature` for `loss.temperature`)."""
    parent, part, rest = _first_wrong(base, key)
    node = _node(base, parent) if parent else base
    if isinstance(node, dict) and (alike := get_close_matches(part, list(node), n=1, cutoff=0.75)):
        return f"Did you mean {'.'.join([*parent.split('.'), alike[0], *rest]).lstrip('.')}?"
    package, group = package_of(key)
    if package and not isinstance(_node(base, package), dict):
        return f"First choose an option for {package}: {group}=…"
    known = [name for name in _keys(base) if not name.startswith("hydra.") or key.startswith("hydra")] + list(groups)
    known = [name for name in known if not key.startswith(f"{name}.")]  # a node that it is in was not meant
    close = get_close_matches(key, known, n=1, cutoff=0.75)
    shallow_last = sorted(reversed(known), key=lambda name: name.count("."), reverse=True)
    by_end = {name.rpartition(".")[2]: name for name in shallow_last}
    close += [by_end[end] for end in get_close_matches(key.rpartition(".")[2], list(by_end), n=1, cutoff=0.75)]
    if close:
        return f"Did you mean {close[0]}?"
    return _listed(node if isinstance(node, dict) else base, f"{parent}." if parent else "")


def _first_wrong(base: Mapping[str, Any], key: str) -> tuple[str, str, list[str]]:
    """Splits a key that is not in the config into the node that is, the first part that is not, and the rest."""
    parts = key.split(".")
    known = [length for length in range(1, len(parts)) if _node(base, ".".join(parts[:length])) is not ABSENT]
    length = max(known, default=0)
    return ".".join(parts[:length]), parts[length], parts[length + 1 :]


def _below(node: Mapping[str, Any], override: Override, groups: Sequence[str]) -> str:
    key = override.key_or_group
    group = key.replace(".", "/")
    if group in groups:
        return f"An option is chosen with slashes: {group}={override.value()}"
    if is_package(key):
        return f"An option is chosen with {package_of(key)[1]}={override.value()}"
    return _listed(node, f"{key}.") if node else f"Set something in it: {key}.<name>=…"


def _listed(node: Mapping[str, Any], prefix: str) -> str:
    names = [name for name in node if name != "hydra" and not name.startswith("_")]
    if prefix == "loss." and "terms" in names:
        names = [name for name in names if name != "terms"] + [f"terms.{term}.weight" for term in node["terms"]]
    return f"Settings here: {', '.join(f'{prefix}{name}' for name in names)}."


def _closest_option(group: str, choice: str, options: Sequence[str]) -> str:
    options = without_old_names(group, options)
    close = get_close_matches(choice, options, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {'+' if group == 'sweeps' else ''}{group}={close[0]}?"
    return f"Options: {', '.join(options) or 'none'}."

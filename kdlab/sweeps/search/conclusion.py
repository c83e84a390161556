"""The best trial of a search, with the command that trains it again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Transformer
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from kdlab.sweeps.search.study import Search

SEARCH_ONLY = ("hydra", "sweeps", "baseline")  # left out of the best trial's command
ABSENT = object()


def conclusion(search: Search, shared: Sequence[str]) -> str:
    """The best trial in two or three lines.

    Args:
        search: that ended.
        shared: the overrides that every trial has, see `shared_settings`.
    """
    ended = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}
    counts = ", ".join(f"{search.count(state)} {word}" for state, word in ended.items() if search.count(state))
    if search.best is None:
        return f"\nNo trial finished ({counts}), so there is no best one."
    command = ["python", "-m", "kdlab.train", *shared, *search.space.overrides(search.best.params)]
    reached = f"{search.task.objective} {search.best.value:.{search.task.headline.decimals}f}"
    return (
        f"\nThe best of the trials ({counts}) is cell {search.best.number + 1}, {reached}:\n"
        f"  {shlex.join(line.lstrip('+') for line in command)}\n"
        "The best of several trials is biased upwards: add +sweeps=seeds to measure its gain on the test set."
    )


def shared_settings(config: DictConfig, fixed: Sequence[str], loader: ConfigLoader) -> list[str]:
    """The overrides that all trials share, with what the sweep's file sets written out.

    Args:
        config: composed from the fixed overrides.
        fixed: the overrides that do not vary.
        loader: Hydra's, that composes them.
    """
    typed = [line for line in fixed if line.lstrip("+").partition("=")[0] not in SEARCH_ONLY]
    if len(typed) == len(fixed):
        return typed
    chosen, default = config.hydra.runtime.choices, _composed(typed, loader).hydra.runtime.choices
    changed = {group: option for group, option in chosen.items() if default.get(group) != option}
    groups = [f"{group}={option}" for group, option in changed.items() if _can_be_chosen(group, option)]
    default_values = dict(_leaves(_plain(_composed([*typed, *groups], loader))))
    values = [
        f"{key}={Transformer.str(value)}"
        for key, value in _leaves(_plain(config))
        if default_values.get(key, ABSENT) != value
    ]
    return [*typed, *groups, *values]


def _composed(lines: Sequence[str], loader: ConfigLoader) -> DictConfig:
    return loader.load_configuration("train", list(lines), RunMode.MULTIRUN)


def _can_be_chosen(group: str, option: str) -> bool:
    """Whether it is an option of a group, and not part of a launcher, a sweep or another option."""
    return group != "sweeps" and not group.startswith("hydra/") and not str(option).startswith("_")


def _plain(config: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(config, resolve=False)
    return {key: value for key, value in plain.items() if key not in SEARCH_ONLY}


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

"""The sweep of a multirun, from its overrides: the same command is the same sweep, in the same folder."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from kdlab.config.compose import Multirun
from kdlab.config.overrides import GRID
from kdlab.runtime.sweep_records import Sweep
from kdlab.store.fingerprint import SHORT, fingerprint
from kdlab.sweeps.plugins import is_parallel, is_search

NOT_IN_IDENTITY = ("hydra", "logger", "paths")  # how and where it runs: with other values it is the same sweep


def sweep_of(multirun: Multirun, config: DictConfig) -> Sweep:
    """The sweep of a command line.

    Args:
        multirun: what it varies.
        config: of the first cell.
    """
    name = str(config.hydra.runtime.choices.get("sweeps") or "sweep")
    varied = _varied([*multirun.from_file, *multirun.typed])
    folder = Path(config.paths.outputs) / f"{name}-{_identity(config, varied)[:SHORT]}"
    if any(override.key_or_group == "hydra.sweep.dir" for override in multirun.typed):
        folder = Path(config.hydra.sweep.dir)
    return Sweep(
        folder=folder.absolute(),
        name=name,
        question=multirun.question,
        overrides=tuple(override.input_line or "" for override in multirun.typed),
        varied=varied,
        cells=_cells(varied, config),
        sweeper=str(config.hydra.sweeper._target_),
        launcher=str(config.hydra.launcher._target_),
        is_parallel=is_parallel(config.hydra.launcher._target_),
        is_search=is_search(config.hydra.sweeper._target_),
    )


def _identity(config: DictConfig, varied: Mapping[str, tuple[str, ...]]) -> str:
    settings: Any = OmegaConf.to_container(config, resolve=False)
    own = {key: value for key, value in settings.items() if key not in NOT_IN_IDENTITY}
    varied_in_order = [[key, *values] for key, values in varied.items()]
    return fingerprint({"config": own, "varied": varied_in_order, "sweeper": config.hydra.sweeper._target_})


def _varied(every: Iterable[Override]) -> dict[str, tuple[str, ...]]:
    """The values of each key that has several; the last override wins, as in Hydra."""
    last = {override.get_key_element().lstrip("+"): override for override in every}
    return {
        key: (override.get_value_string(),) if override.is_interval_sweep() else tuple(override.sweep_string_iterator())
        for key, override in last.items()
        if override.is_sweep_override()
    }


def _cells(varied: Mapping[str, Sequence[str]], config: DictConfig) -> int | None:
    """The number of combinations of a grid; of another sweeper its `n_trials`, None if it has none."""
    if config.hydra.sweeper._target_ == GRID:
        return prod(len(values) for values in varied.values())
    n_trials: int | None = config.hydra.sweeper.get("n_trials")
    return n_trials

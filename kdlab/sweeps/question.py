"""What a multirun asks, from its overrides: the same command is the same sweep, in the same folder."""

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

ELSEWHERE = ("hydra", "logger", "paths")  # how and where it runs; what is asked stays the same


def asked_sweep(multirun: Multirun, config: DictConfig) -> Sweep:
    """The sweep that a command line asks for.

    Args:
        multirun: what it varies.
        config: of the first cell.
    """
    name = str(config.hydra.runtime.choices.get("sweeps") or "sweep")
    varied = _varied([*multirun.filed, *multirun.typed])
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
    said: Any = OmegaConf.to_container(config, resolve=False)
    asked = {key: value for key, value in said.items() if key not in ELSEWHERE}
    varied_in_order = [[key, *values] for key, values in varied.items()]
    return fingerprint({"config": asked, "varied": varied_in_order, "sweeper": config.hydra.sweeper._target_})


def _varied(every: Iterable[Override]) -> dict[str, tuple[str, ...]]:
    """The values of each key that has several; what comes last stands, as with Hydra."""
    last = {override.get_key_element().lstrip("+"): override for override in every}
    return {
        key: (override.get_value_string(),) if override.is_interval_sweep() else tuple(override.sweep_string_iterator())
        for key, override in last.items()
        if override.is_sweep_override()
    }


def _cells(varied: Mapping[str, Sequence[str]], config: DictConfig) -> int | None:
    """How many combinations a grid has; what another sweeper says of itself."""
    if config.hydra.sweeper._target_ == GRID:
        return prod(len(values) for values in varied.values())
    told: int | None = config.hydra.sweeper.get("n_trials")
    return told

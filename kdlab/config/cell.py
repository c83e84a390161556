"""The run that Hydra started in this process: its options, overrides and config folders."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig


def choices() -> dict[str, Any]:
    """The chosen option of each config group, such as `loss: dkd`; a dot in a name would read as a level."""
    chosen = {str(group): option for group, option in HydraConfig.get().runtime.choices.items()}
    return {group: option for group, option in chosen.items() if not group.startswith("hydra/") and "." not in group}


def task_overrides() -> list[str]:
    """The overrides of the run, as typed and as its sweep sets them."""
    return list(HydraConfig.get().overrides.task)


def config_folders() -> list[Path]:
    """The folders in which Hydra looked for options, in the order of its search path."""
    return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]

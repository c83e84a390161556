"""The networks that `conf/network` offers, and those of a folder given by `--config-dir`."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from kdlab.config.search_path import CONF

NETWORK = ("source", "name", "kwargs", "taps")


def network_options() -> dict[str, dict[str, Any]]:
    """The settings of every network that is fully named, by the name of its option; the user's own go first."""
    files = [path for folder in reversed(_folders()) for path in sorted((folder / "network").glob("*.yaml"))]
    options = {path.stem: OmegaConf.load(path) for path in files}
    return {
        name: OmegaConf.to_container(node)  # type: ignore[misc]
        for name, node in options.items()
        if not OmegaConf.missing_keys(node)
    }


def _folders() -> list[Path]:
    """Where Hydra looked for options, first one first; kdlab's own where no command has started it."""
    if not HydraConfig.initialized():
        return [CONF]
    return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]

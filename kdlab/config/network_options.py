"""The networks that `conf/network` offers, and those of a folder given by `--config-dir`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kdlab.config.folders import CONF


def network_options(folders: Sequence[Path] = (CONF,)) -> dict[str, dict[str, Any]]:
    """The settings of every network that is fully named, by the name of its option.

    Args:
        folders: that have a `network/`, the first one wins.
    """
    files = [path for folder in reversed(folders) for path in sorted((folder / "network").glob("*.yaml"))]
    options = {path.stem: OmegaConf.load(path) for path in files}
    return {
        name: OmegaConf.to_container(node)  # type: ignore[misc]
        for name, node in options.items()
        if not OmegaConf.missing_keys(node)
    }

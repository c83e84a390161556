"""The networks that `conf/network` offers, and those of a folder given by `--config-dir`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kdlab.config.folders import CONF


class NetworkOptions(Mapping[str, Mapping[str, Any]]):
    """The settings of every network that is fully named, by the name of its option.

    The files are read when the first one is needed: most plans need none.

    Args:
        folders: with a `network/`; the first one wins.
    """

    def __init__(self, folders: Sequence[Path] = (CONF,)) -> None:
        self._folders = folders

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    @cached_property
    def _settings(self) -> dict[str, dict[str, Any]]:
        files = [path for folder in reversed(self._folders) for path in sorted((folder / "network").glob("*.yaml"))]
        options = {path.stem: OmegaConf.load(path) for path in files}
        return {
            name: OmegaConf.to_container(node)  # type: ignore[misc]
            for name, node in options.items()
            if not OmegaConf.missing_keys(node)
        }

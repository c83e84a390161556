"""Where Hydra finds kdlab's configs: `conf/` and `sweeps/` of the package, and the `sweeps/` of the current folder."""

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from kdlab.config.folders import ROOT


class SweepFolder(FileConfigSource):
    """A folder of which only `sweeps/` holds configs: whatever else lies there is neither searched nor chosen."""

    @staticmethod
    def scheme() -> str:
        """What its search path begins with."""
        return "sweeps"

    def is_group(self, config_path: str) -> bool:
        """Whether a path is a config group here."""
        return config_path.partition("/")[0] in ("", "sweeps") and super().is_group(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """A sweep speaks of the whole config, without having to say so: its first line is its question."""
        loaded = super().load_config(config_path)
        loaded.header["package"] = loaded.header["package"] or "_global_"
        return loaded

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Groups or options below a path."""
        return [name for name in super().list(config_path, results_filter) if config_path or name == "sweeps"]


class Sweeps(SearchPathPlugin):
    """Finds `sweeps/` beside kdlab's `conf/`, and in the folder where the command is typed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds both where they exist."""
        for folder in dict.fromkeys((ROOT, Path.cwd())):
            if (folder / "sweeps").is_dir():
                search_path.append("kdlab", f"{SweepFolder.scheme()}://{folder}")


def use_kdlab_config() -> None:
    """Teaches Hydra where sweeps lie and what kdlab's configs compute."""
    Plugins.instance().register(SweepFolder)
    Plugins.instance().register(Sweeps)
    OmegaConf.register_new_resolver("one_minus", _one_minus, replace=True)
    OmegaConf.register_new_resolver("times", lambda factor, value: round(factor * value, 12), replace=True)
    OmegaConf.register_new_resolver("or_else", lambda value, other: other if value is None else value, replace=True)


def _one_minus(value: object) -> object:
    """1 − a number; anything else as it is, for whoever reads it to refuse by name."""
    return round(1 - value, 12) if isinstance(value, int | float) else value

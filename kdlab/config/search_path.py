"""Where Hydra finds kdlab's configs: `conf/` and `sweeps/` of the package, and the `sweeps/` of the current folder.

Options of `model/teacher` and `model/student` are made from the networks in `conf/network`, and what an experiment sets
for some options only is made from one list of cases.
"""

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from kdlab.config.folders import ROOT

NETWORK = "network"
SIDES = ("model/teacher", "model/student")  # groups whose options are the networks


class SweepFolder(FileConfigSource):
    """A folder of which Hydra searches only `sweeps/`."""

    @staticmethod
    def scheme() -> str:
        """What its search path begins with."""
        return "sweeps"

    def is_group(self, config_path: str) -> bool:
        """Whether a path is a config group here."""
        return config_path.partition("/")[0] in ("", "sweeps") and super().is_group(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """A sweep's package is `_global_` without a header: the first line of its file is its question."""
        loaded = super().load_config(config_path)
        loaded.header["package"] = loaded.header["package"] or "_global_"
        return loaded

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Groups or options below a path."""
        return [name for name in super().list(config_path, results_filter) if config_path or name == "sweeps"]


class MadeFromFiles(ConfigSource):
    """Configs without a file: each is made from a file at another path, in any of the folders that Hydra searches."""

    def available(self) -> bool:
        """Always: it has no folder of its own."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether a path is a group whose options can be listed."""
        return False

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The options of a group."""
        return []


class Networks(MadeFromFiles):
    """Offers `network/NAME.yaml` as the option NAME of `model/teacher` and `model/student`.

    A file `model/teacher/NAME.yaml`, where there is one, is found first: it also sets a training recipe.
    """

    @staticmethod
    def scheme() -> str:
        """What its search path begins with."""
        return "networks"

    def is_group(self, config_path: str) -> bool:
        """Whether a path is one of the two groups."""
        return config_path in SIDES

    def is_config(self, config_path: str) -> bool:
        """Whether a path is one of the two groups and the name of a network."""
        group, _, name = config_path.rpartition("/")
        return group in SIDES and _source_of(f"{NETWORK}/{name}") is not None

    def load_config(self, config_path: str) -> ConfigResult:
        """The network, on top of the settings that every teacher (`_teacher.yaml`) or student (`_student.yaml`) has."""
        _, side, name = config_path.split("/")
        config = OmegaConf.create({"defaults": [f"_{side}", {f"/{NETWORK}@_here_": name}]})
        return ConfigResult(self.provider, self.full_path(), config, header={"package": None})

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The networks of all folders."""
        return GlobalHydra.instance().config_loader().get_group_options(NETWORK, results_filter)


class Cases(MadeFromFiles):
    """Offers a list of cases, `DETAILS.yaml`, as configs named after choices: `DETAILS/_loss=dkd,pair=vgg13_vgg8`.

    Each case sets something `when` the choices are among those that it lists: `when: {loss: [dkd, nst], pair: […]}`.
    The underscore marks them, like all others that only a defaults list chooses.
    """

    @staticmethod
    def scheme() -> str:
        """What its search path begins with."""
        return "cases"

    def is_config(self, config_path: str) -> bool:
        """Whether a path is a list of cases and a name made of choices."""
        group, _, name = config_path.rpartition("/")
        return name.startswith("_") and "=" in name and _source_of(group) is not None

    def load_config(self, config_path: str) -> ConfigResult:
        """The cases that apply, merged: later ones win.

        Raises:
            ConfigLoadError: a case depends on something that is not among the choices.
        """
        group, _, name = config_path.rpartition("/")
        chosen = dict(choice.split("=", 1) for choice in name[1:].split(","))
        source = _source_of(group)
        assert source is not None, config_path  # checked by is_config
        file = source.load_config(group)
        applying = []
        for case in file.config:
            when = case.pop("when")
            if unknown := [key for key in when if key not in chosen]:
                raise ConfigLoadError(f"{group}: `when` must name {', '.join(chosen)}, got {unknown[0]!r}.")
            if all(chosen[key] in options for key, options in when.items()):
                applying.append(case)
        return ConfigResult(self.provider, self.full_path(), OmegaConf.merge({}, *applying), header=file.header)


def _source_of(config_path: str) -> ConfigSource | None:
    """The first source with that file in Hydra's search path, which `--config-dir` is part of."""
    sources: list[ConfigSource] = GlobalHydra.instance().config_loader().get_sources()
    return next((source for source in sources if source.is_config(config_path)), None)


class KdlabSearchPath(SearchPathPlugin):
    """Adds the configs made from files of `conf/`, and `sweeps/` beside it and in the current folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds them, folders where they exist."""
        for source in (Networks, Cases):
            search_path.append("kdlab", f"{source.scheme()}://")
        for folder in dict.fromkeys((ROOT, Path.cwd())):
            if (folder / "sweeps").is_dir():
                search_path.append("kdlab", f"{SweepFolder.scheme()}://{folder}")


def use_kdlab_config() -> None:
    """Registers kdlab's search path and the resolvers of its configs with Hydra."""
    for plugin in (SweepFolder, Networks, Cases, KdlabSearchPath):
        Plugins.instance().register(plugin)
    OmegaConf.register_new_resolver("one_minus", _one_minus, replace=True)
    OmegaConf.register_new_resolver("times", lambda factor, value: round(factor * value, 12), replace=True)
    OmegaConf.register_new_resolver("or_else", lambda value, other: other if value is None else value, replace=True)


def _one_minus(value: object) -> object:
    """1 − a number; anything else unchanged: the class that reads the setting refuses it by name."""
    return round(1 - value, 12) if isinstance(value, int | float) else value

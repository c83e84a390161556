"""What Hydra's launchers and sweepers are, by their classes and what those declare."""

from hydra.core.plugins import Plugins

HYDRAS_OWN = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # imported again by Hydra: another class there


def plugin_class(target: str) -> type:
    """The class that Hydra makes a launcher or a sweeper from.

    Args:
        target: its `_target_`.
    """
    known: dict[str, type] = Plugins.instance().class_name_to_class
    return known[target]


def is_parallel(launcher: str) -> bool:
    """Whether a launcher runs cells in other processes: all do but Hydra's own and those that extend it."""
    return not issubclass(plugin_class(launcher), plugin_class(HYDRAS_OWN))


def is_search(sweeper: str) -> bool:
    """Whether a sweeper draws each cell from what those before it found, and says so by `is_search = True`."""
    return bool(getattr(plugin_class(sweeper), "is_search", False))

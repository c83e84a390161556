"""Properties of Hydra's launchers and sweepers, read from their classes."""

from hydra.core.plugins import Plugins

HYDRAS_OWN = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # Hydra imports it again, as another class


def plugin_class(target: str) -> type:
    """The class that Hydra makes a launcher or a sweeper from.

    Args:
        target: its `_target_`.
    """
    known: dict[str, type] = Plugins.instance().class_name_to_class
    return known[target]


def is_parallel(launcher: str) -> bool:
    """Whether a launcher runs cells in other processes: all do except Hydra's own and its subclasses."""
    return not issubclass(plugin_class(launcher), plugin_class(HYDRAS_OWN))


def is_search(sweeper: str) -> bool:
    """Whether a sweeper samples each cell from the results of earlier ones: its class has `is_search = True`."""
    return bool(getattr(plugin_class(sweeper), "is_search", False))

"""Options that come with an extra of kdlab's, and the error where it is not installed."""

from collections.abc import Collection

from kdlab.errors import BadInput

EXTRAS = {  # by option: the plugin's own option that it is or extends, and the extra with the plugin
    "hydra/launcher=submitit_local": ("submitit_local", "slurm"),
    "hydra/launcher=submitit_slurm": ("submitit_slurm", "slurm"),
    "hydra/launcher=slurm": ("submitit_slurm", "slurm"),
    "hydra/launcher=ray": ("ray", "ray"),
    "hydra/launcher=ray_cluster": ("ray", "ray"),
}


def check_installed(group: str, option: str, options: Collection[str]) -> None:
    """Refuses an option whose extra is absent.

    Args:
        group: of the option.
        option: as chosen.
        options: of the group, in this installation.

    Raises:
        BadInput: naming the extra.
    """
    base, extra = EXTRAS.get(f"{group}={option}", ("", ""))
    if base and base not in options:
        raise BadInput(
            f'{group}={option} needs the extra {extra}, which is not installed: pip install "kdlab[{extra}]"'
        )

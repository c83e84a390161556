"""Saved sweeps are logged to W&B, with their report, wherever runs would be recorded online."""

from kdlab.config.compose import Checked
from kdlab.tracking.wandb import mode

LOGGER, REPORT = "logger=wandb", "logger.report=true"


def logging_overrides(checked: Checked) -> list[str]:
    """What is added to the command line of a saved sweep where an API key is present; it replaces nothing typed.

    Args:
        checked: the command line.
    """
    choices = checked.config.hydra.runtime.choices
    if not checked.multirun or not choices.get("sweeps"):
        return []
    typed = {override.key_or_group for override in checked.multirun.typed}
    is_wandb = bool(checked.config.logger.get("wandb"))
    added = [] if is_wandb else [LOGGER]
    if "logger.report" not in typed:
        added.append(REPORT)
    if (not is_wandb and "logger" in typed) or mode(checked.config.logger.get("mode")) != "online":
        return []
    return added

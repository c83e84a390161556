"""The settings of an evaluation on corrupted images, and its words; without torch, for reports."""

from typing import Any

from kdlab.errors import BadInput
from kdlab.settings.numbers import is_whole

CLEAN, ALL = "clean", "all"
SEVERITY, MOST_SEVERE = 3, 5


def check_severity(severity: Any) -> None:
    """Refuses what is no severity.

    Raises:
        BadInput: it is not a whole number from 1 to 5.
    """
    if not is_whole(severity, 1) or severity > MOST_SEVERE:
        raise BadInput(f"data.severity must be a whole number from 1 to {MOST_SEVERE}, got {severity!r}.")

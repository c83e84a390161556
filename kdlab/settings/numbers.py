"""What kind of number a setting is. A boolean is none, although Python treats it as 0 or 1."""

import math
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a setting is an integer or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether a setting is an integer and not below `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_weight(value: object) -> TypeGuard[float]:
    """Whether a setting is a finite number, 0 or more."""
    return is_number(value) and 0 <= value < math.inf


def is_fraction(value: object) -> TypeGuard[float]:
    """Whether a setting is a number in [0, 1]."""
    return is_number(value) and 0 <= value <= 1

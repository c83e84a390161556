"""Teacher-student distillation on logits: a temperature, and alpha between the teacher and the labels."""

from collections.abc import Mapping
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.soft_targets import SoftTargets
from kdlab.settings.numbers import is_fraction


class TeacherStudent(SoftTargets):
    """Trains a student on a teacher's softened outputs beside the labels (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        terms: see `Distiller`; their weights follow alpha in `conf/loss/response.yaml`.
        temperature: above 0.
        alpha: in [0, 1], the weight of the teacher's term; 1 − alpha is the cross-entropy's.

    Raises:
        BadInput: temperature or alpha out of its range.
    """

    def __init__(self, terms: Mapping[str, Mapping[str, Any]], temperature: float, alpha: float) -> None:
        check_alpha(alpha)
        super().__init__(terms, temperature)


def check_alpha(alpha: object) -> None:
    """Refuses what is no share.

    Raises:
        BadInput: naming the setting.
    """
    if not is_fraction(alpha):
        raise BadInput(
            "loss.alpha must lie in [0, 1] (the weight of the teacher's term; the labels get 1 - alpha), "
            f"got {alpha!r}. For example loss.alpha=0.7."
        )

"""Teacher-student distillation on logits: a temperature, and alpha between the teacher and the labels."""

from kdlab.errors import BadInput
from kdlab.methods.soft_targets import SoftTargets, check_temperature, soft_terms
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.settings.numbers import is_fraction


class TeacherStudent(SoftTargets):
    """Trains a student on a teacher's softened outputs beside the labels (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        temperature: above 0.
        alpha: in [0, 1], the weight of the teacher's term; 1 − alpha is the cross-entropy's.
        terms: see `Distiller`.

    Raises:
        BadInput: temperature or alpha out of its range.
    """

    def __init__(self, temperature: float, alpha: float, terms: Terms | None = None) -> None:
        super().__init__(temperature, merge_terms(alpha_terms(temperature, alpha), terms))


def alpha_terms(temperature: float, alpha: float) -> Terms:
    """Soft targets of weight alpha, and cross-entropy of weight 1 − alpha.

    Raises:
        BadInput: temperature or alpha out of its range.
    """
    check_temperature(temperature)
    check_alpha(alpha)
    return soft_terms(round(1 - alpha, 12), alpha, temperature)


def check_alpha(alpha: object) -> None:
    """Refuses an alpha outside [0, 1].

    Raises:
        BadInput: naming the setting.
    """
    if not is_fraction(alpha):
        raise BadInput(
            "loss.alpha must lie in [0, 1] (the weight of the teacher's term; the labels get 1 - alpha), "
            f"got {alpha!r}. For example loss.alpha=0.7."
        )

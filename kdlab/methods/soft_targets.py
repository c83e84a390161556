"""Methods on softened class probabilities, with a temperature."""

from collections.abc import Sequence
from typing import ClassVar

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.settings.numbers import is_weight


class SoftTargets(Distiller):
    """Cross-entropy with the labels and soft targets of the teacher, each with weight 1 unless `terms` overrides it.

    Args:
        temperature: above 0.
        terms: see `Distiller`.

    Raises:
        BadInput: the temperature is out of its range.
    """

    own_terms: ClassVar[Sequence[str]] = ("ce", "response_kd")

    def __init__(self, temperature: float, terms: Terms | None = None) -> None:
        check_temperature(temperature)
        super().__init__(merge_terms(soft_terms(1.0, 1.0, temperature), terms))


class DecoupledDistillation(Distiller):
    """Weights the divergences of target and non-target class probabilities separately (arXiv:2203.08679).

    Args:
        temperature: above 0.
        target_weight: 0 or more; for the target class against all others (the paper's alpha).
        nontarget_weight: 0 or more; for the distribution among the others (the paper's beta).
        terms: see `Distiller`.

    Raises:
        BadInput: a value is out of its range.
    """

    own_terms = ("ce", "dkd")

    def __init__(
        self, temperature: float, target_weight: float, nontarget_weight: float, terms: Terms | None = None
    ) -> None:
        weights = {"target_weight": target_weight, "nontarget_weight": nontarget_weight}
        for name, weight in weights.items():
            if not is_weight(weight):
                raise BadInput(f"loss.{name} must be a finite number, 0 or more; got {weight!r}. Usual: loss.{name}=1.")
        check_temperature(temperature)
        own = {"ce": {"weight": 1.0}, "dkd": {"weight": 1.0, "warmup": 2, "temperature": temperature, **weights}}
        super().__init__(merge_terms(own, terms))


def soft_terms(labels: float, teacher: float, temperature: float) -> Terms:
    """Cross-entropy and soft targets with their weights."""
    return {"ce": {"weight": labels}, "response_kd": {"weight": teacher, "temperature": temperature}}


def check_temperature(temperature: object) -> None:
    """Refuses a temperature that is not a finite number above 0.

    Raises:
        BadInput: naming the setting.
    """
    if not is_weight(temperature) or temperature == 0:
        raise BadInput(
            f"loss.temperature must be above 0, got {temperature!r}. Usual values are 1 to 8: loss.temperature=4."
        )

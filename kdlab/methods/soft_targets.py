"""Methods whose terms share one temperature."""

from collections.abc import Mapping
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.settings.numbers import is_weight


class SoftTargets(Distiller):
    """Learns from softened class probabilities; `conf/loss/*.yaml` hands the temperature to the terms.

    Args:
        terms: see `Distiller`.
        temperature: above 0.

    Raises:
        BadInput: the temperature is out of its range.
    """

    def __init__(self, terms: Mapping[str, Mapping[str, Any]], temperature: float) -> None:
        check_temperature(temperature)
        super().__init__(terms)


class DecoupledDistillation(SoftTargets):
    """Weighs what the teacher says of the right class and of the others separately (arXiv:2203.08679).

    Args:
        terms: see `Distiller`.
        temperature: above 0.
        target_weight: 0 or more; of the right class against all others (the paper's alpha).
        nontarget_weight: 0 or more; among the others (the paper's beta).

    Raises:
        BadInput: a value is out of its range.
    """

    def __init__(
        self,
        terms: Mapping[str, Mapping[str, Any]],
        temperature: float,
        target_weight: float,
        nontarget_weight: float,
    ) -> None:
        for name, weight in (("target_weight", target_weight), ("nontarget_weight", nontarget_weight)):
            if not is_weight(weight):
                raise BadInput(f"loss.{name} must be a finite number, 0 or more; got {weight!r}. Usual: loss.{name}=1.")
        super().__init__(terms, temperature)


def check_temperature(temperature: object) -> None:
    """Refuses what cannot soften.

    Raises:
        BadInput: naming the setting.
    """
    if not is_weight(temperature) or temperature == 0:
        raise BadInput(
            f"loss.temperature must be above 0, got {temperature!r}. Usual values are 1 to 8: loss.temperature=4."
        )

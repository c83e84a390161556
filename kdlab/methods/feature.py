"""Feature distillation: the student's intermediate features match the teacher's."""

import math
from collections.abc import Mapping
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.soft_targets import SoftTargets, check_temperature, soft_terms
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.settings.numbers import is_fraction

FEATURE = {"_target_": "kdlab.losses.normalised_distance", "taps": ["mid", "high"], "adapter": "student"}


class FeatureDistillation(SoftTargets):
    """Matches tapped features through adapters, beside labels and soft targets (FitNets, arXiv:1412.6550).

    All three weights make the form alpha · KD + beta · feature + gamma · CE; without them each term has weight 1.

    Args:
        temperature: above 0.
        alpha: of the soft targets, in [0, 1]; None without the three-weight form.
        beta: of the features, likewise.
        gamma: of the cross-entropy, likewise.
        terms: see `Distiller`.

    Raises:
        BadInput: only some of the three weights, or three that do not sum to 1.
    """

    own_terms = ("ce", "response_kd", "feature")

    def __init__(
        self,
        temperature: float,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        terms: Terms | None = None,
    ) -> None:
        weights = {"alpha": alpha, "beta": beta, "gamma": gamma}
        given = {name: weight for name, weight in weights.items() if weight is not None}
        if given:
            _check_three(given)
        check_temperature(temperature)
        kd, feature, labels = (1.0 if weight is None else weight for weight in (alpha, beta, gamma))
        own = {**soft_terms(labels, kd, temperature), "feature": {**FEATURE, "weight": feature}}
        super().__init__(temperature, merge_terms(own, terms))


def _check_three(given: Mapping[str, Any]) -> None:
    shown = ", ".join(f"loss.{name}={weight!r}" for name, weight in given.items())
    if len(given) < 3:
        raise BadInput(
            "loss.alpha, loss.beta and loss.gamma (soft targets, features, cross-entropy) are given together and sum "
            f"to 1, got only {shown}. For example loss.alpha=0.3 loss.beta=0.5 loss.gamma=0.2; a single term's weight "
            "is loss.terms.<name>.weight."
        )
    in_range = all(is_fraction(weight) for weight in given.values())
    if not in_range or not math.isclose(sum(given.values()), 1.0, abs_tol=1e-6):
        raise BadInput(
            f"loss.alpha, loss.beta and loss.gamma must lie in [0, 1] and sum to 1, got {shown}. "
            "For example loss.alpha=0.3 loss.beta=0.5 loss.gamma=0.2."
        )

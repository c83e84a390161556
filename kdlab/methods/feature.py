"""Feature distillation: the student's inner layers follow the teacher's."""

import math
from collections.abc import Mapping
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.soft_targets import SoftTargets
from kdlab.settings.numbers import is_fraction


class FeatureDistillation(SoftTargets):
    """Matches tapped features through probed adapters, beside labels and soft targets (FitNets, arXiv:1412.6550).

    The three-weight form alpha · KD + beta · feature + gamma · CE is asked for by naming all three; without them every
    term keeps the weight it has at `loss.terms.<name>.weight`.

    Args:
        terms: see `Distiller`; their weights follow alpha, beta and gamma in `conf/loss/feature.yaml`.
        temperature: above 0.
        alpha: of the soft targets, in [0, 1]; None without the three-weight form.
        beta: of the features, likewise.
        gamma: of the cross-entropy, likewise.

    Raises:
        BadInput: only some of the three weights, or three that do not sum to 1.
    """

    def __init__(
        self,
        terms: Mapping[str, Mapping[str, Any]],
        temperature: float,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
    ) -> None:
        weights = {"alpha": alpha, "beta": beta, "gamma": gamma}
        given = {name: weight for name, weight in weights.items() if weight is not None}
        if given:
            _check_three(given)
        super().__init__(terms, temperature)


def _check_three(given: Mapping[str, Any]) -> None:
    said = ", ".join(f"loss.{name}={weight!r}" for name, weight in given.items())
    if len(given) < 3:
        raise BadInput(
            "loss.alpha, loss.beta and loss.gamma (soft targets, features, cross-entropy) are given together and sum "
            f"to 1, got only {said}. For example loss.alpha=0.3 loss.beta=0.5 loss.gamma=0.2; a single term's weight "
            "is loss.terms.<name>.weight."
        )
    in_range = all(is_fraction(weight) for weight in given.values())
    if not in_range or not math.isclose(sum(given.values()), 1.0, abs_tol=1e-6):
        raise BadInput(
            f"loss.alpha, loss.beta and loss.gamma must lie in [0, 1] and sum to 1, got {said}. "
            "For example loss.alpha=0.3 loss.beta=0.5 loss.gamma=0.2."
        )

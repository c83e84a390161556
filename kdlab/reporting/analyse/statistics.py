"""Uncertainty of figures: intervals, tests and their correction for multiple comparisons.

The distributions come from `scipy.special`, which loads in a fifth of the time of `scipy.stats`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr, stdtrit

from kdlab.reporting.evidence import Interval

LEVEL = 0.95
RESAMPLES = 2000
NO_SPREAD = 1e-9  # in points: what rounding leaves between figures that are equal

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def interval(values: Sequence[float]) -> Interval:
    """Mean and Student's t-interval at 95 %; no interval with fewer than two values.

    Args:
        values: at least one, such as the gain of each seed.
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Interval(mean, None, count)
    return Interval(mean, float(stdtrit(count - 1, (1 + LEVEL) / 2)) * _spread(values) / count**0.5, count)


def paired_t_test(differences: Sequence[float]) -> float | None:
    """Two-sided p of a paired t-test that the mean difference is zero.

    Returns:
        None with fewer than two values, or where all are the same and not zero: without any spread there is nothing
        to test against.
    """
    if len(differences) < 2:
        return None
    mean, spread = float(np.mean(differences)), _spread(differences)
    if spread == 0:
        return 1.0 if abs(mean) < NO_SPREAD else None
    return float(2 * stdtr(len(differences) - 1, -abs(mean) / (spread / len(differences) ** 0.5)))


def mcnemar_test(ours: Flags, theirs: Flags) -> float:
    """Two-sided p of McNemar's exact test that two networks are right equally often.

    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947.

    Args:
        ours: `(samples,)`, whether a network is right on a sample.
        theirs: the same of the other one.
    """
    discordant = (int((ours & ~theirs).sum()), int((theirs & ~ours).sum()))
    return min(1.0, 2 * float(bdtr(min(discordant), sum(discordant), 0.5)))


def paired_bootstrap(differences: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over test samples, each resampled with its own difference.

    Draws how often each distinct difference occurs: the same as drawing samples with replacement, and much faster.

    Args:
        differences: `(samples,)`, such as +100 where only the student is right and −100 where only the baseline is.
        seed: of the resampling.
    """
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(differences), counts / len(differences), size=RESAMPLES)
    means = drawn @ values / len(differences)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number by Holm's step-down method; None stays and does not count.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, index) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        corrected[index] = least
    return corrected


def _spread(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 where the values differ by rounding only."""
    spread = float(np.std(values, ddof=1))
    return 0.0 if spread < NO_SPREAD else spread

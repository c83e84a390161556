"""Which requests are shadowed, and what their agreement says."""

from itertools import pairwise

import pytest
from scipy.stats import binomtest

from kdlab.serving.drift import Drift, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (9, 10), (470, 500), (500, 500), (0, 500)])
def test_the_interval_is_that_of_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high))


def test_without_samples_nothing_is_known():
    assert wilson(0, 0) == (0.0, 1.0)
    summary = Drift(0.5, 10, 0.9).summary()
    assert (summary["agreement"], summary["interval"], summary["is_below"]) == (None, [0.0, 1.0], None)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.3, 1.0])
def test_so_large_a_share_of_requests_is_taken_evenly(share):
    drift = Drift(share, 10, None)
    taken = [drift.takes_next() for _ in range(1000)]
    assert sum(taken) == pytest.approx(1000 * share, abs=1)
    at = [number for number, one in enumerate(taken) if one]
    gaps = {after - before for before, after in pairwise(at)}
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(("agreed", "is_below"), [(90, False), (86, False), (80, True), (99, False)])
def test_it_is_below_where_the_whole_interval_is(agreed, is_below):
    drift = Drift(1, 100, 0.90)
    drift.record([True] * 500)  # older than the window
    drift.record([True] * agreed + [False] * (100 - agreed))
    summary = drift.summary()
    assert (summary["samples"], summary["agreement"], summary["is_below"]) == (100, agreed / 100, is_below)
    assert (summary["interval"][1] < 0.90) == is_below

import numpy as np
import pytest
from scipy import stats

from kdlab.reporting.analyse.statistics import holm, interval, mcnemar_test, paired_bootstrap, paired_t_test

GAINS = [5.2, 6.0, 4.8, 5.9, 6.1]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_interval_is_scipys(count):
    values = GAINS[:count]
    found = interval(values)
    low, high = stats.t.interval(0.95, count - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    assert found.count == count


def test_one_value_has_no_interval_and_proves_nothing():
    found = interval([5.0])
    assert (found.mean, found.half, found.count) == (5.0, None, 1)
    assert found.is_uncertain


def test_the_paired_t_test_is_scipys():
    assert paired_t_test(GAINS) == pytest.approx(stats.ttest_1samp(GAINS, 0).pvalue)
    assert paired_t_test([-0.3, 0.4, 0.1]) == pytest.approx(stats.ttest_1samp([-0.3, 0.4, 0.1], 0).pvalue)


def test_equal_differences_have_no_spread_to_test_against():
    assert paired_t_test([0.1 + 0.2, 0.3, 0.3]) is None
    assert paired_t_test([0.0, 0.0]) == 1.0
    assert paired_t_test([2.0]) is None
    assert interval([0.1 + 0.2, 0.3, 0.3]).half == 0


@pytest.mark.parametrize(("only_ours", "only_theirs"), [(9, 2), (2, 9), (0, 0), (4, 4), (0, 7)])
def test_mcnemars_test_is_an_exact_binomial_test_of_the_samples_on_which_they_differ(only_ours, only_theirs):
    ours = np.array([True] * (50 + only_ours) + [False] * (only_theirs + 6))
    theirs = np.array([True] * 50 + [False] * only_ours + [True] * only_theirs + [False] * 6)
    differing = only_ours + only_theirs
    expected = stats.binomtest(only_ours, differing).pvalue if differing else 1.0
    assert mcnemar_test(ours, theirs) == pytest.approx(expected)


def test_the_bootstrap_resamples_samples():
    random = np.random.default_rng(7)
    differences = random.choice([-100.0, 0.0, 0.0, 100.0, 100 / 3], size=400)
    drawn = random.integers(400, size=(20_000, 400))
    expected = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    assert paired_bootstrap(differences) == pytest.approx(expected, abs=0.4)  # of a width of about 12
    assert paired_bootstrap(differences) == paired_bootstrap(differences)


def test_holm_steps_down_as_in_r():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives 0.03 0.06 0.06 0.02
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []

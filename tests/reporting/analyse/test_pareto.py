import random

import numpy as np
import pytest

from kdlab.reporting.analyse.pareto import beaten_by, pareto_front


def brute_force(costs, values):
    def is_beaten(one):
        return any(
            costs[other] <= costs[one]
            and values[other] >= values[one]
            and (costs[other], values[other]) != (costs[one], values[one])
            for other in range(len(costs))
        )

    return {(costs[one], values[one]) for one in range(len(costs)) if not is_beaten(one)}


@pytest.mark.parametrize("seed", range(20))
def test_matches_the_definition_also_with_ties(seed):
    draw = np.random.default_rng(seed)
    costs, values = (draw.integers(0, 8, 15).tolist() for _ in range(2))
    front = pareto_front(costs, values)
    found = [(costs[index], values[index]) for index in front]
    assert set(found) == brute_force(costs, values)
    assert len(found) == len(set(found))
    assert found == sorted(found)


def test_nothing_has_no_front():
    assert pareto_front([], []) == []


def test_a_point_is_beaten_where_another_is_no_worse_in_both_and_better_in_one():
    draw = random.Random(1)
    for _ in range(50):
        costs, values = ([draw.randrange(5) for _ in range(8)] for _ in range(2))
        for at, by in enumerate(beaten_by(costs, values)):
            beats = [
                other
                for other in range(8)
                if (costs[other] < costs[at] and values[other] >= values[at])
                or (costs[other] <= costs[at] and values[other] > values[at])
            ]
            assert (by is None) == (not beats)
            assert by is None or by in beats


def test_points_that_are_equal_do_not_beat_each_other():
    assert beaten_by([1, 1, 2], [5, 5, 5]) == [None, None, 0]

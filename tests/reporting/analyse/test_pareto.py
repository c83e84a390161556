import numpy as np
import pytest

from kdlab.reporting.analyse.pareto import pareto_front


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

"""The Pareto front of several networks by cost and quality."""

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """The points that no other point beats: none is as cheap and better, or as good and cheaper.

    Args:
        costs: of each point; less is better.
        values: of each point; more is better.

    Returns:
        Their indices, cheapest first. Of several equal points the first stands for all.
    """
    front: list[int] = []
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], -values[index])):
        if not front or values[index] > values[front[-1]]:
            front.append(index)
    return front

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


def beaten_by(costs: Sequence[float], values: Sequence[float]) -> list[int | None]:
    """For each point one that beats it: no dearer and no worse, and cheaper or better; None for those of the front.

    Args:
        costs: of each point; less is better.
        values: of each point; more is better.

    Returns:
        Of several that beat a point, the one with the greatest value, and of those the cheapest. Equal points do not
        beat each other.
    """
    points = list(zip(costs, values, strict=True))
    found: list[int | None] = []
    for cost, value in points:
        better = [at for at, (c, v) in enumerate(points) if c <= cost and v >= value and (c, v) != (cost, value)]
        found.append(max(better, key=lambda at: (points[at][1], -points[at][0]), default=None))
    return found

"""How the cost of a step grows with batches, classes and data, and that of a sweep with its cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kdlab.benchmarking.case import ALONE, LIVE, OVERRIDES, WARM, Case, cells_job, slug
from kdlab.benchmarking.crew import crew
from kdlab.benchmarking.measure import measure, prepare, total_steps

SIZES = {"batch_size": (16, 64, 256), "classes": (10, 100, 1000), "samples": (1_000, 10_000, 100_000)}
"""Of a `Case`, and the values that they are given one after the other."""
WAYS = (ALONE, LIVE, WARM)
CELLS = (1, 4, 12)
CELL_STEPS = 8
SHARED = "kdlab, one cache"
BLOCK = 512  # bytes, the unit in which a file system counts


@dataclass(frozen=True)
class Growth:
    """What depends on one size.

    Attributes:
        over: which size.
        values: of it.
        unit: of the costs.
        costs: by the way of training, one for each value.
    """

    over: str
    values: tuple[int, ...]
    unit: str
    costs: dict[str, tuple[float, ...]]


def growth(case: Case, folder: Path, repeats: int, steps: int, say: Callable[[str], None]) -> list[Growth]:
    """Every growth, from the same pair.

    Args:
        case: what is trained where nothing else is said.
        folder: an empty one for everything written.
        repeats: turns of each way.
        steps: timed ones of a turn.
        say: is told what is measured next.
    """
    found: list[Growth] = []
    for name, values in SIZES.items():
        say(f"how a step grows with {name}: {', '.join(map(str, values))}")
        found += over_sizes(name, values, case, folder / name, (repeats, steps))
    say(f"how a sweep grows with its cells: {', '.join(map(str, CELLS))}")
    return [*found, over_cells(case, CELLS, folder / "cells")]


def over_sizes(
    name: str, values: Sequence[int], case: Case, folder: Path, turns: tuple[int, int]
) -> tuple[Growth, Growth]:
    """Milliseconds of a step, and bytes of a cached answer, by one of the sizes of a case.

    Args:
        name: of the size.
        values: that it is given.
        case: what is trained otherwise.
        folder: for everything written.
        turns: repeats, and timed steps of each.
    """
    cases = [_sized(case, name, value, total_steps(*turns)) for value in values]
    places = [folder / str(value) for value in values]
    timings = [measure(one, place, *turns, WAYS) for one, place in zip(cases, places, strict=True)]
    costs = {way: tuple(1000 * timing[way].median for timing in timings) for way in WAYS}
    sizes = [
        bytes_under(place / f"{slug(WARM)}-cache") / (total_steps(*turns) * one.batch_size)
        for one, place in zip(cases, places, strict=True)
    ]
    step = Growth(name, tuple(values), "ms a step", costs)
    return step, Growth(name, tuple(values), "bytes a cached answer", {WARM: tuple(sizes)})


def over_cells(case: Case, counts: Sequence[int], folder: Path) -> Growth:
    """Seconds of whole runs of one epoch, one after the other, that differ in temperature and share their cache."""
    small = replace(case, samples=CELL_STEPS * case.batch_size)
    prepare(small, folder)
    runs = {ALONE: OVERRIDES[ALONE], LIVE: OVERRIDES[LIVE], SHARED: OVERRIDES[WARM]}
    jobs = {way: cells_job(way, small, folder, lines, max(counts)) for way, lines in runs.items()}
    with crew(jobs, folder) as workers:
        rounds = [{way: workers[way].turn(1, untimed=0).seconds for way in jobs} for _ in range(max(counts))]
    costs = {way: tuple(sum(each[way] for each in rounds[:count]) for count in counts) for way in jobs}
    return Growth("cells", tuple(counts), "seconds of a sweep", costs)


def bytes_under(folder: Path) -> int:
    """What the files of a folder take on disk."""
    return sum(path.stat().st_blocks * BLOCK for path in folder.rglob("*") if path.is_file())


def _sized(case: Case, name: str, value: int, steps: int) -> Case:
    """The data have one batch for each step, unless their number is what varies."""
    sized: Case = replace(case, **{name: value})  # type: ignore[arg-type]
    return sized if name == "samples" else replace(sized, samples=max(sized.batch_size * steps, sized.classes))

"""How the cost of a step scales with batches, classes and data, and that of a sweep with its cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kdlab.benchmarking.case import LIVE, OVERRIDES, STUDENT, WARM, Case, cells_job, slug
from kdlab.benchmarking.measure import measure, prepare, total_steps
from kdlab.benchmarking.workers import running

SIZES = {"batch_size": (16, 64, 256), "classes": (10, 100, 1000), "samples": (1_000, 10_000, 100_000)}
"""The sizes of a `Case` that are varied, one at a time, and their values."""
SCALED = (STUDENT, LIVE, WARM)
"""The variants that are measured at each value."""
CELLS = (1, 4, 12)
CELL_STEPS = 8
SHARED = "kdlab, one cache"
BLOCK = 512  # bytes, the unit in which a file system counts


@dataclass(frozen=True)
class Scaling:
    """Costs by one size.

    Attributes:
        over: the size that varies.
        values: of it.
        unit: of the costs.
        costs: by variant, one for each value.
    """

    over: str
    values: tuple[int, ...]
    unit: str
    costs: dict[str, tuple[float, ...]]


def scaling(case: Case, folder: Path, repeats: int, steps: int, status: Callable[[str], None]) -> list[Scaling]:
    """The scaling with every size and with the cells of a sweep, all of the same pair.

    Args:
        case: the sizes that do not vary, and the pair.
        folder: an empty one for everything written.
        repeats: rounds of each variant.
        steps: timed ones of a round.
        status: called with a line about the next measurement, before it starts.
    """
    found: list[Scaling] = []
    for name, values in SIZES.items():
        status(f"how a step scales with {name}: {', '.join(map(str, values))}")
        found += over_sizes(name, values, case, folder / name, (repeats, steps))
    status(f"how a sweep scales with its cells: {', '.join(map(str, CELLS))}")
    return [*found, over_cells(case, CELLS, folder / "cells")]


def over_sizes(
    name: str, values: Sequence[int], case: Case, folder: Path, rounds: tuple[int, int]
) -> tuple[Scaling, Scaling]:
    """Milliseconds of a step, and bytes of a cached output, by one of the sizes of a case.

    Args:
        name: of the size.
        values: of the size.
        case: the sizes that do not vary, and the pair.
        folder: for everything written.
        rounds: repeats, and timed steps of each.
    """
    cases = [_sized(case, name, value, total_steps(*rounds)) for value in values]
    folders = [folder / str(value) for value in values]
    timings = [measure(one, path, *rounds, SCALED) for one, path in zip(cases, folders, strict=True)]
    costs = {variant: tuple(1000 * timing[variant].median for timing in timings) for variant in SCALED}
    sizes = [
        bytes_under(path / f"{slug(WARM)}-cache") / (total_steps(*rounds) * one.batch_size)
        for one, path in zip(cases, folders, strict=True)
    ]
    step = Scaling(name, tuple(values), "ms per step", costs)
    return step, Scaling(name, tuple(values), "bytes per cached output", {WARM: tuple(sizes)})


def over_cells(case: Case, counts: Sequence[int], folder: Path) -> Scaling:
    """Seconds of whole runs of one epoch, one after the other, that differ in temperature and share their cache."""
    small = replace(case, samples=CELL_STEPS * case.batch_size)
    prepare(small, folder)
    runs = {STUDENT: OVERRIDES[STUDENT], LIVE: OVERRIDES[LIVE], SHARED: OVERRIDES[WARM]}
    jobs = {variant: cells_job(variant, small, folder, lines, max(counts)) for variant, lines in runs.items()}
    with running(jobs, folder) as workers:
        cells = [
            {variant: workers[variant].run_round(1, untimed=0).seconds for variant in jobs} for _ in range(max(counts))
        ]
    costs = {variant: tuple(sum(cell[variant] for cell in cells[:count]) for count in counts) for variant in jobs}
    return Scaling("cells", tuple(counts), "seconds per sweep", costs)


def bytes_under(folder: Path) -> int:
    """What the files of a folder take on disk."""
    return sum(path.stat().st_blocks * BLOCK for path in folder.rglob("*") if path.is_file())


def _sized(case: Case, name: str, value: int, steps: int) -> Case:
    """The case with another size; it has one batch for each step, unless `samples` is what varies."""
    sized: Case = replace(case, **{name: value})  # type: ignore[arg-type]
    return sized if name == "samples" else replace(sized, samples=max(sized.batch_size * steps, sized.classes))

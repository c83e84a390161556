"""Dark knowledge: a teacher's softened probabilities, and the class similarity that they show."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdlab.reporting.collect.predictions import Examples, examples, predictions
from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SEQUENTIAL,
    WIDTH,
    Picture,
    room,
    shortened,
    single,
)
from kdlab.tasks.dark_knowledge import TEMPERATURES, class_similarity, entropy, illustrative_samples, softened

MOST_CLASSES = 10
MOST_NAMED = 20
MOST_COMPARED = 1000
COMPARED_AT = 4
"""Temperature of the class-similarity matrix."""
RULES = {
    "most torn": "Highest entropy at T 1",
    "typical": "Median entropy at T 1",
    "surest": "Lowest entropy at T 1",
}
SIDE, BESIDE = 0.95, 1.05  # of a sample's picture, and the room that it takes, in inches

Logits = NDArray[np.floating]
Pixels = NDArray[np.uint8]


def dark_knowledge(evidence: Evidence) -> list[Picture]:
    """A teacher's softened probabilities for three test samples, and its class-similarity matrix."""
    for run in (run for setting in evidence.settings for run in setting.runs if run.task.names_classes):
        if found := predictions(run.path / "teacher"):
            logits, targets = found
            shown = examples(run.path / "teacher", logits.shape[1])
            whole = [_similarity(logits, targets, shown.names)] if logits.shape[1] <= MOST_COMPARED else []
            return [*_samples(logits, targets, shown), *whole]
    return []


def _samples(logits: Logits, targets: NDArray[np.int64], shown: Examples) -> Iterator[Picture]:
    for kind, index in illustrative_samples(logits).items():
        target = int(targets[index])
        entropies = ", ".join(f"{entropy(softened(logits[index], t)):.2f} nats at T {t}" for t in TEMPERATURES)
        sample = f"Test sample {index}, true class {shown.names[target]}"
        alt = f"The teacher's softened probabilities. {RULES[kind]}. {sample}: entropy {entropies}."
        caption = f"{RULES[kind]}. {sample} (blue). Bars: probability; above them its entropy in nats."
        figure = _columns(logits[index], target, shown.names, shown.pictures.get(index))
        yield Picture(f"dark-knowledge-{kind.replace(' ', '-')}", figure, alt, caption)


def _columns(logits: Logits, target: int, names: Sequence[str], pixels: Pixels | None) -> Figure:
    """A column of bars for each temperature, all in one pair of axes, with the sample's picture at their left.

    All classes in their order, or the most probable ones where there are too many.
    """
    shown = np.argsort(-logits, kind="stable")[:MOST_CLASSES]
    shown = shown if len(logits) > MOST_CLASSES else np.sort(shown)
    labels = [shortened(names[label], 14) for label in shown]
    left = room(labels) + (0 if pixels is None else BESIDE)
    figure, axes = single(0.65 + 0.21 * len(shown), left=left, top=0.5, bottom=0.1)
    positions = np.arange(len(shown))
    colours = [ACCENT if label == target else FAINT for label in shown]
    for column, temperature in enumerate(TEMPERATURES):
        probabilities = softened(logits, temperature)
        axes.barh(positions, 0.9 * probabilities[shown], left=column, color=colours, height=0.72)
        axes.plot([column, column], [-0.5, len(shown) - 0.5], color=FAINT, linewidth=0.8)
        axes.text(column, -0.8, f"T {temperature}\n{entropy(probabilities):.2f}", va="bottom", fontsize=9.5)
    axes.set_yticks(positions, labels)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(-0.02, len(TEMPERATURES)), xticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if pixels is not None:
        _show(figure, pixels)
    return figure


def _show(figure: Figure, pixels: Pixels) -> None:
    height = figure.get_figheight()
    axes = figure.add_axes((0.05 / WIDTH, (height - 0.5 - SIDE) / height, SIDE / WIDTH, SIDE / height))
    axes.imshow(pixels, cmap="gray", interpolation="nearest")
    axes.set_axis_off()


def _similarity(logits: Logits, targets: NDArray[np.int64], class_names: Sequence[str]) -> Picture:
    matrix = class_similarity(logits, targets, COMPARED_AT)
    classes = range(len(matrix))
    names = class_names if len(matrix) <= MOST_NAMED else ()
    widest = room(names or ("100",))
    is_short = max(map(len, names), default=1) < 3
    figure, axes = single(4.2, left=0.3 + widest, top=0.1, bottom=0.5 if is_short else 0.3 + widest)
    axes.imshow(100 * matrix, cmap=SEQUENTIAL, interpolation="nearest")
    axes.grid(visible=False)
    if names:
        axes.set_xticks(classes, names, rotation=0 if is_short else 90)
        axes.set_yticks(classes, names)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.set(xlabel="other class", ylabel="true class")
    pairs = "; ".join(
        f"{class_names[row]} as {class_names[column]}, {100 * matrix[row, column]:.1f} %"
        for row, column in _top(matrix)
    )
    alt = f"Class similarity at T {COMPARED_AT}: the mean softened probability by true class. Strongest: {pairs}."
    caption = (
        f"Mean probability at T {COMPARED_AT} that the teacher gives each other class, by true class; "
        f"the diagonal is left out. Strongest: {pairs}."
    )
    return Picture("class-similarity", figure, alt, caption)


def _top(matrix: Logits, count: int = 3) -> list[tuple[int, int]]:
    order = np.argsort(-np.nan_to_num(matrix, nan=-1.0), axis=None, kind="stable")[:count]
    return [(int(row), int(column)) for row, column in zip(*np.unravel_index(order, matrix.shape), strict=True)]

"""What all pictures share: size, type, colours, and how they are saved as SVG and PNG."""

import io
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from kdlab.reporting.render.magnitude import scaled

INK, MUTED, FAINT, GRID, PAPER, ACCENT = "#1d2129", "#68707d", "#b4bbc7", "#e4e6ea", "#fefefe", "#2457c5"
PALE, SAND = "#eaf0fb", "#b8703a"
COLOURS = {"ink": INK, "muted": MUTED, "faint": FAINT, "grid": GRID, "paper": PAPER, "accent": ACCENT}
"""By the name that the page's stylesheet gives them: it has another value of each for dark mode."""
SEQUENTIAL = LinearSegmentedColormap.from_list("kdlab", [PALE, "#7ba0e8", "#16388a"])
DIVERGING = LinearSegmentedColormap.from_list("kdlab_signed", [SAND, "#f6f4f0", "#2a58bd"])

WIDTH = 5.2
"""Of every picture, in inches: at this size its type is that of the page, and still legible on a phone."""
DPI = 110
MOST_TEXT = 30

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "kdlab",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.color": FAINT,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 10,
}


@dataclass(frozen=True)
class Picture:
    """One plot.

    Attributes:
        name: of its files, without ending.
        figure: what is drawn.
        alt: what it shows, for those who cannot see it.
        caption: how to read it.
    """

    name: str
    figure: Figure
    alt: str
    caption: str


def in_style() -> AbstractContextManager[None]:
    """A context in which figures are drawn and saved in the report's style."""
    return matplotlib.rc_context(STYLE)


def drawing(
    height: float, panels: int = 1, *, left: float = 0.65, top: float = 0.3, bottom: float = 0.5
) -> tuple[Figure, list[Axes]]:
    """Axes below each other, on a figure of the common width. A layout engine would take longer than all the rest.

    Args:
        height: of the figure in inches.
        panels: how many axes.
        left: room for the labels of the vertical axis, in inches.
        top: room for a title, in inches.
        bottom: room for the horizontal axis and its label, in inches.
    """
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=left / WIDTH, right=1 - 0.22 / WIDTH, bottom=bottom / height, top=1 - top / height, hspace=0.3
    )
    return figure, list(figure.subplots(panels, squeeze=False)[:, 0])


def single(height: float = 3.2, *, left: float = 0.65, top: float = 0.3, bottom: float = 0.5) -> tuple[Figure, Axes]:
    """`drawing` with one pair of axes."""
    figure, (axes,) = drawing(height, left=left, top=top, bottom=bottom)
    return figure, axes


def room(labels: Iterable[str]) -> float:
    """The width that labels of the vertical axis need, in inches."""
    return 0.15 + 0.085 * max(map(len, labels))


def logarithmic(axes: Axes, which: str) -> None:
    """Gives an axis a logarithmic scale, with labels at 1, 2 and 5 of each power of ten.

    Args:
        axes: that it belongs to.
        which: `x` or `y`.
    """
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: scaled(value))
    axis.set_minor_formatter(NullFormatter())


def save(picture: Picture, folder: Path) -> str:
    """Writes `<name>.svg` and `<name>.png`.

    Returns:
        The SVG's text.
    """
    vector = io.StringIO()
    picture.figure.savefig(vector, format="svg", metadata={"Date": None, "Title": picture.alt})
    (folder / f"{picture.name}.svg").write_text(vector.getvalue(), encoding="utf-8")
    picture.figure.savefig(folder / f"{picture.name}.png", dpi=DPI, pil_kwargs={"compress_level": 4})
    return vector.getvalue()


def shortened(text: str, most: int = MOST_TEXT) -> str:
    """A label that leaves room for the plot beside it."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"

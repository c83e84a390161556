"""The report as one HTML page that needs nothing else, with its plots beside it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.evidence import Evidence, Interval
from kdlab.reporting.render.comparison_page import comparison_view
from kdlab.reporting.render.export_tables import Table, export_view
from kdlab.reporting.render.figures.agreement import agreement
from kdlab.reporting.render.figures.best_minus_last import best_minus_last
from kdlab.reporting.render.figures.cascade import generations, steps
from kdlab.reporting.render.figures.cost import costs
from kdlab.reporting.render.figures.curves import curves
from kdlab.reporting.render.figures.dark import dark_knowledge
from kdlab.reporting.render.figures.effects import effects
from kdlab.reporting.render.figures.gains import gains
from kdlab.reporting.render.figures.reliability import calibration
from kdlab.reporting.render.figures.robustness import corrupted_images
from kdlab.reporting.render.figures.style import Picture, in_style
from kdlab.reporting.render.parts import InlinePicture, environment, inline
from kdlab.reporting.render.settings_table import Column, columns, with_interval
from kdlab.reporting.render.tables import saved, shipped_rows
from kdlab.store.atomic import write_text_atomically

Draw = Callable[[Evidence], Picture | None]
PUBLISHED = ("method", "teacher", "student_alone", "student", "metric", "note", "source")
PROMINENT = 2  # remarks that stand out
SHIPPED_TEXTS = ("setting", "artifact", "engine", "refused or over budget")
LONG = 25  # rows from which on a table scrolls in its box


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    heading: str
    text: str
    pictures: tuple[InlinePicture, ...]


def write_page(evidence: Evidence, folder: Path) -> Path:
    """Writes `index.html` and, in `plots/`, each plot as SVG and PNG.

    Plots of an earlier report in the folder that this one does not have are removed; nothing else is.

    Args:
        evidence: of the runs.
        folder: created where it is not there.

    Returns:
        The page's path.
    """
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    with in_style():
        sections = list(_sections(evidence, plots))
        comparisons = [
            comparison_view(folder.name, content, plots, number)
            for number, (folder, content) in enumerate(evidence.comparisons)
        ]
    measured = columns(evidence.settings, chosen_role(evidence.varied))
    table = [column for column in measured if not column.is_shared]
    content = (
        environment()
        .get_template("page.html")
        .render(
            evidence=evidence,
            columns=table,
            size=_size([column for column in measured if column.is_shared]),
            rows=list(zip(evidence.settings, zip(*(column.cells for column in table), strict=True), strict=True)),
            references=_references(evidence),
            ranking=f"validation {evidence.task.headline.label}",
            overview=_overview(evidence),
            sections=sections,
            comparisons=comparisons,
            shipped=_shipped(evidence),
            exports=[export_view(export) for export in evidence.exports],
            savings=_savings(evidence),
            published=[_published(row) for row in evidence.published],
            prominent=PROMINENT,
            long=LONG,
            version=version("kdlab"),
        )
    )
    page = folder / "index.html"
    pictures = [*(one.pictures for one in sections), *(one.pictures for one in comparisons)]
    for name in _linked(page) - {picture.name for several in pictures for picture in several}:
        for suffix in ("svg", "png"):
            (plots / f"{name}.{suffix}").unlink(missing_ok=True)
    write_text_atomically(page, content)
    return page


def _size(shared: Sequence[Column]) -> str:
    sizes = [f"{cell.text} {column.heading}" for column in shared if (cell := column.cells[0])]
    return f" Every student has {' and '.join(sizes)}." if sizes else ""


def _linked(page: Path) -> set[str]:
    """The plots of an earlier report, by the links that its page has below each."""
    links = r'<a href="plots/([\w-]+)\.svg">SVG</a> <a href="plots/\1\.png">PNG</a>'
    return set(re.findall(links, page.read_text(encoding="utf-8", errors="replace"))) if page.is_file() else set()


def _sections(evidence: Evidence, plots: Path) -> Iterator[Section]:
    for heading, text, draw in SECTIONS:
        if pictures := inline(draw(evidence), plots):
            yield Section(heading, text, pictures)


def _each(*draws: Draw) -> Callable[[Evidence], list[Picture]]:
    return lambda evidence: [picture for draw in draws if (picture := draw(evidence))]


SECTIONS: Sequence[tuple[str, str, Callable[[Evidence], list[Picture]]]] = (
    ("Gain from distillation", "", lambda evidence: [*_each(gains)(evidence), *effects(evidence)]),
    ("Accuracy and its cost", "", costs),
    ("Learning curves", "", lambda evidence: [*curves(evidence), *_each(best_minus_last)(evidence)]),
    ("Similarity to the teacher", "", _each(agreement, calibration)),
    ("Corrupted images", "", _each(corrupted_images)),
    ("Generations and steps", "", _each(generations, steps)),
    (
        "Dark knowledge",
        "The teacher's probabilities of the classes that it does not predict. A high temperature makes them visible.",
        dark_knowledge,
    ),
)


def _references(evidence: Evidence) -> list[tuple[str, str]]:
    """Rows below the settings."""
    return [(one.label, f"{evidence.task.headline.show(one.reached)} on test") for one in evidence.references]


def _overview(evidence: Evidence) -> list[str]:
    """Counts of runs, settings, seeds and failures, and the date."""
    runs = [run for setting in evidence.settings for run in setting.runs]
    seeds = ", ".join(map(str, evidence.seeds))
    parts = [_count(len(runs), "run"), _count(len(evidence.settings), "setting")] if runs else []
    parts += [f"{_count(len(evidence.seeds), 'seed')} ({seeds})"] if evidence.seeds else []
    parts += [f"{_count(len(evidence.failures), 'cell')} without a result"] if evidence.failures else []
    times = [file.stat().st_mtime for run in runs if (file := run.path / "result.json").is_file()]
    ended = (evidence.sweep or {}).get("ended") or max(times, default=None)
    return [*parts, f"{datetime.fromtimestamp(ended, UTC):%d %B %Y}".lstrip("0")] if ended else parts


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _shipped(evidence: Evidence) -> Table | None:
    rows = shipped_rows(evidence)
    if not rows:
        return None
    heads = list(rows[0])
    texts = frozenset(index for index, head in enumerate(heads) if head in SHIPPED_TEXTS)
    return Table("What can be shipped", heads, [list(row.values()) for row in rows], texts)


def _savings(evidence: Evidence) -> Mapping[str, Any] | None:
    """What reuse saved, as a sentence, and the share of the training time that remained."""
    if not evidence.savings.seconds_without_reuse:
        return None
    return {"text": saved(evidence), "share": evidence.savings.seconds / evidence.savings.seconds_without_reuse}


def _published(row: Mapping[str, Any]) -> Mapping[str, str]:
    """A published row as text; `here` is kdlab's own figure."""
    here = row.get("here")
    shown = {name: "–" if row.get(name) is None else str(row[name]) for name in PUBLISHED}
    return {**shown, "here": with_interval(here) if isinstance(here, Interval) else "–"}

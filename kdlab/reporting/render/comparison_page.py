"""A comparison as files of its own folder, and as a section of a report's page."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kdlab.reporting.analyse.comparison import title
from kdlab.reporting.collect.comparisons import COMPARISON
from kdlab.reporting.render.comparison_lines import QUESTION, answers, sentences
from kdlab.reporting.render.comparison_tables import Column, comparison_rows, costs, csv_text, figures, ratios
from kdlab.reporting.render.export_tables import Table
from kdlab.reporting.render.figures.comparison import comparison_pictures
from kdlab.reporting.render.figures.deferral import deferral_pictures
from kdlab.reporting.render.figures.style import in_style
from kdlab.reporting.render.parts import InlinePicture, environment, inline
from kdlab.store.atomic import check_writable, write_text_atomically

Content = Mapping[str, Any]
TABLES = {
    "Networks and their files. In bold the cheapest within the limit.": figures,
    "Beside the teacher in float32 in the same engine, and in PyTorch; with the range over rounds.": ratios,
    "What the service costs.": costs,
}


@dataclass(frozen=True)
class ComparisonView:
    """A comparison in a page.

    Attributes:
        name: of its folder.
        question: that it answers.
        answer: in one sentence.
        sentences: that say what it gains, and qualify it.
        tables: of figures, and of the calculator.
        assumptions: of the calculator.
        pictures: the Pareto fronts.
    """

    name: str
    question: str
    answer: str
    sentences: Sequence[str]
    tables: Sequence[Table]
    assumptions: Sequence[str]
    pictures: Sequence[InlinePicture]


def write_comparison(content: Content, folder: Path, setting: str = "--out") -> Path:
    """Writes `comparison.json`, `comparison.csv`, `index.html` and its plots.

    Args:
        content: the fields of `comparison.json`.
        folder: created when it is absent.
        setting: that chose the folder, for the error.

    Returns:
        The page's path.

    Raises:
        BadInput: the folder cannot be written.
    """
    check_writable(folder, setting)
    (folder / "plots").mkdir(exist_ok=True)
    write_text_atomically(folder / COMPARISON, json.dumps(content, indent=2) + "\n")
    write_text_atomically(folder / "comparison.csv", csv_text(content))
    with in_style():
        view = comparison_view(folder.name, content, folder / "plots")
    page, template = folder / "index.html", environment().get_template("comparison.html")
    write_text_atomically(page, template.render(view=view, version=version("kdlab")))
    return page


def comparison_view(name: str, content: Content, plots: Path, number: int = 0) -> ComparisonView:
    """Everything that a comparison found.

    Args:
        name: of its folder.
        content: the fields of its `comparison.json`.
        plots: the folder in which its pictures are saved.
        number: of the comparison, where a page has several.
    """
    tables = [_table(content, caption, of) for caption, of in TABLES.items()]
    suffix = f"-{number + 1}" if number else ""
    pictures = inline([*comparison_pictures(content, suffix), *deferral_pictures(content, suffix)], plots)
    first, *more = answers(content)
    lines = [*more, *sentences(content)]
    return ComparisonView(name, QUESTION, first, lines, tables, list(content["assumptions"]), pictures)


def _table(content: Content, caption: str, columns: Callable[[Content], list[Column]]) -> Table:
    rows = comparison_rows(content, columns)
    marked = frozenset(index for index, row in enumerate(content["rows"]) if title(row) == content["chosen"])
    return Table(caption, list(rows[0]), [list(row.values()) for row in rows], frozenset({0, 1, 2}), marked)

"""Reads runs and sweeps, and writes all parts of their report."""

from collections.abc import Sequence
from pathlib import Path

from kdlab.reporting.assemble import collect
from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.page import write_page
from kdlab.reporting.render.tables import write_cells, write_markdown
from kdlab.store.atomic import check_writable


def report(folders: Sequence[str | Path], out: str | Path | None = None) -> tuple[Evidence, Path]:
    """Reads runs and sweeps and writes `index.html`, its plots, `cells.csv` and `report.md`.

    Args:
        folders: of runs or sweeps, or folders that hold any of them.
        out: where the report goes; None is `report/` in the first of the folders.

    Returns:
        The evidence, and the path of the page.

    Raises:
        BadInput: a folder is not there, there is nothing in it, or the report's folder cannot be written.
    """
    evidence = collect(folders)
    folder = Path(out) if out else Path(folders[0]) / "report"
    check_writable(folder, "--out")
    write_cells(evidence, folder)
    write_markdown(evidence, folder)
    return evidence, write_page(evidence, folder)

"""The report at the end of a sweep. An error in it is logged and does not fail the sweep."""

import logging
from dataclasses import replace

from kdlab.errors import KdlabError
from kdlab.runtime.sweep_records import Sweep
from kdlab.sweeps.progress import Progress

log = logging.getLogger(__name__)


def write_report(sweep: Sweep, progress: Progress) -> None:
    """Writes `report/` in the sweep's folder and shows its summary, if any cell has a run directory.

    Args:
        sweep: that ended.
        progress: its cells; the failed ones have been printed already.
    """
    if not any(cell.run for cell in progress.cells):
        return
    from kdlab.reporting.render.summary_screen import show
    from kdlab.reporting.report import report

    try:
        evidence, page = report([sweep.folder])
        show(replace(evidence, failures=()), page)
    except KdlabError as error:
        log.warning("The report was not written: %s", error)
    except Exception:
        log.exception("The report was not written; python -m kdlab.report %s tries again.", sweep.folder)

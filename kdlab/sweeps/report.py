"""The report at the end of a sweep. An error in it is logged and does not fail the sweep."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from kdlab.errors import KdlabError
from kdlab.reporting.evidence import Evidence
from kdlab.runtime.sweep_records import Sweep
from kdlab.sweeps.progress import Progress

log = logging.getLogger(__name__)


def write_report(sweep: Sweep, progress: Progress, config: DictConfig) -> None:
    """Writes `report/` in the sweep's folder and shows its summary, if any cell has a run directory.

    With `logger.report=true` it is published on W&B too.

    Args:
        sweep: that ended.
        progress: its cells; the failed ones have been printed already.
        config: of the first cell.
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
    else:
        _publish(evidence, sweep, page, config)


def _publish(evidence: Evidence, sweep: Sweep, page: Path, config: DictConfig) -> None:
    from kdlab.tracking.cell import wandb_settings
    from kdlab.tracking.publication import publish_sweep

    try:
        settings = wandb_settings(config, sweep.folder.name, sweep.question)
        if settings and settings.report:
            print(f"\n{publish_sweep(evidence, sweep.folder, page, settings)}")  # on whole lines, which can be pasted
    except KdlabError as error:
        log.warning("The report was not published on W&B: %s", error)
    except Exception:
        log.exception("The report was not published on W&B; the same command tries again.")

"""Starts a failed launcher again for the cells that have not ended: a worker was killed, a node went away.

One lost worker can end a whole launch (joblib gives up every cell of it). Finished stages are in the store, and a stage
continues from its checkpoint in any process, so another launch loses nothing.
"""

import traceback
from collections.abc import Callable, Sequence

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kdlab.errors import BadInput, KdlabError, TrainingFailed, first_line
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.screen import SweepView

PATIENCE = 3  # launches in a row in which no further cell ended, before giving up
LOG = "launcher.log"


def launch(multirun: Callable[[], object], view: SweepView) -> None:
    """Launches a sweep, and again as long as further cells end, until every cell has ended.

    Args:
        multirun: one launch of all cells; it skips those that have ended.
        view: of the sweep.

    Raises:
        BadInput: Hydra cannot compose a cell.
        TrainingFailed: the launcher failed, and another launch would fail too.
    """
    history = [view.progress()]
    while True:
        try:
            multirun()
            return
        except KdlabError:  # raised by the sweeper
            raise
        except (HydraException, OmegaConfBaseException) as error:
            raise BadInput(" ".join(str(error).split())) from error
        except Exception as error:
            history.append(view.progress())
            with (view.sweep.folder / LOG).open("a") as log:
                traceback.print_exception(error, file=log)
            if view.sweep.cells and not history[-1].missing:
                return
            if not should_relaunch(history):
                raise TrainingFailed(_message(error, history, view)) from error
            view.console.print(f"  a worker was lost ({type(error).__name__}): launching the unfinished cells again")


def should_relaunch(history: Sequence[Progress]) -> bool:
    """Whether to launch again: not if the last launch began no cell, nor after `PATIENCE` launches that ended none.

    Args:
        history: the progress before the first launch and after each.
    """
    began = history[-1].cells != history[-2].cells
    return began and (len(history) <= PATIENCE or len(history[-1].ended) > len(history[-1 - PATIENCE].ended))


def _message(error: Exception, history: Sequence[Progress], view: SweepView) -> str:
    reason = first_line(error).rstrip(".")
    began = len(history) > 2 or history[-1].cells != history[-2].cells
    summary = "workers were lost again and again" if began else "no cell could be started"
    return (
        f"{view.sweep.launcher.rpartition('.')[2]}: {summary} ({type(error).__name__}: {reason}). "
        f"Its whole output is in {view.sweep.folder / LOG}; the same command continues."
    )

"""A launcher that broke down is started again for the cells that have not ended: a worker was killed, a node went away.

One lost worker can end a whole launch (joblib gives up every cell of it). What was trained is in the store, and a
checkpoint is the same wherever its stage continues, so a further launch loses nothing.
"""

import traceback
from collections.abc import Callable, Sequence

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kdlab.errors import BadInput, KdlabError, TrainingFailed, first_line
from kdlab.sweeps.progress import Progress
from kdlab.sweeps.screen import SweepView

PATIENCE = 3  # launches in a row in which no further cell ended, after which a person should look
LOG = "launcher.log"


def launch(multirun: Callable[[], object], view: SweepView) -> None:
    """Launches a sweep, and again while that helps, until every cell has ended.

    Args:
        multirun: one launch of all cells; those that have ended are not run a second time.
        view: of the sweep.

    Raises:
        BadInput: Hydra cannot compose a cell.
        TrainingFailed: the launcher broke down and is not worth another launch.
    """
    looks = [view.progress()]
    while True:
        try:
            multirun()
            return
        except KdlabError:  # the sweeper's own
            raise
        except (HydraException, OmegaConfBaseException) as error:
            raise BadInput(" ".join(str(error).split())) from error
        except Exception as error:
            looks.append(view.progress())
            with (view.sweep.folder / LOG).open("a") as log:
                traceback.print_exception(error, file=log)
            if view.sweep.cells and not looks[-1].missing:
                return
            if not is_worth_another(looks):
                raise TrainingFailed(_farewell(error, looks, view)) from error
            view.console.print(f"  a worker was lost ({type(error).__name__}): launching what has not ended again")


def is_worth_another(looks: Sequence[Progress]) -> bool:
    """Whether to launch again: not when the last launch began no cell, nor after several that brought none to its end.

    Args:
        looks: at the sweep, before the first launch and after each.
    """
    began = looks[-1].cells != looks[-2].cells
    return began and (len(looks) <= PATIENCE or len(looks[-1].ended) > len(looks[-1 - PATIENCE].ended))


def _farewell(error: Exception, looks: Sequence[Progress], view: SweepView) -> str:
    what = first_line(error).rstrip(".")
    began = len(looks) > 2 or looks[-1].cells != looks[-2].cells
    why = "workers were lost again and again" if began else "no cell could be started"
    return (
        f"{view.sweep.launcher.rpartition('.')[2]}: {why} ({type(error).__name__}: {what}). "
        f"Its whole output is in {view.sweep.folder / LOG}; the same command continues."
    )

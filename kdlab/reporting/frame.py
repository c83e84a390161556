"""Results as a data frame, for notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput
from kdlab.reporting.assemble import collect
from kdlab.reporting.render.tables import run_rows


def data_frame(folders: Sequence[str | Path]) -> Any:
    """The rows of `cells.csv`; their paths are relative to the current folder.

    Raises:
        BadInput: pandas is not installed, a folder is not there, or none of them holds a run or a sweep.
    """
    try:
        import pandas
    except ImportError as error:
        raise BadInput('kdlab.results needs pandas, which is not installed: pip install "kdlab[notebook]"') from error
    return pandas.DataFrame(run_rows(collect(folders), Path.cwd()))

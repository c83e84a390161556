"""Runs one cell: any error ends in one message, an exit code and, in a sweep, a record."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from kdlab.errors import BadInput, Interrupted, KdlabError, StoppedEarly
from kdlab.reporting.render.console import Printer
from kdlab.runtime.sweep_records import read_sweep
from kdlab.settings.numbers import is_whole
from kdlab.sweeps.cell import begin_cell, end_cell, ended_before, sweep_folder
from kdlab.sweeps.screen import announce_cell

Task = Callable[[DictConfig], object]
FAILED = 1


def attempt(task: Task, cfg: DictConfig) -> int:
    """Runs one cell. In a sweep errors are recorded, not raised, and the next cell follows.

    Args:
        task: returns its exit code, or None for 0.
        cfg: of the cell.

    Returns:
        The exit code.

    Raises:
        KeyboardInterrupt: the user asked to stop, which ends a sweep too.
    """
    if (ended := ended_before()) is not None:
        return ended
    begin_cell()
    with _workers_output_to_log():
        announce_cell()
        try:
            _check_cell(cfg)
            code = task(cfg)
        except (Interrupted, KeyboardInterrupt) as stop:
            raise KeyboardInterrupt(str(stop)) from stop
        except StoppedEarly as stop:
            print(stop)
            return _ended("stopped", 0, str(stop))
        except KdlabError as error:
            return _ended("failed", print_error(error), str(error))
        except InterpolationResolutionError as error:
            text = str(error).splitlines()[0]
            wrong = BadInput(f"{error.full_key} points to nothing: {text}. Set {error.full_key}=…")
            return _ended("failed", print_error(wrong), str(wrong))
        except Exception as error:
            return _ended("failed", print_bug(error), f"{type(error).__name__}: {error}")
    end_cell("finished", 0)  # of a sweep, also where the task returned another code: a finding, and not a failure
    return int(code) if isinstance(code, int) else 0


def print_error(error: KdlabError) -> int:
    """Prints an expected error in one message, and returns its exit code."""
    kind = "interrupted" if isinstance(error, Interrupted) else "error"
    _print(f"\n{kind}: {error}")
    return error.exit_code


def print_bug(error: Exception) -> int:
    """Prints a bug report: one line if a log has the traceback, with the traceback if there is no log yet."""
    where = "; ".join(getattr(error, "__notes__", ()))
    if not where:
        traceback.print_exception(error)
    _print(f"\nerror: {type(error).__name__}: {error}")
    _print(f"  (a bug, not your input: {where or 'its traceback is above'})")
    return FAILED


def _print(text: str) -> None:
    Printer(stderr=True).print(text, markup=False, emoji=False)


def _ended(status: str, code: int, reason: str) -> int:
    end_cell(status, code, reason)
    return code


@contextlib.contextmanager
def _workers_output_to_log() -> Iterator[None]:
    """In a worker of a sweep, sends the output to a file: only the process that was started prints on the screen."""
    folder = sweep_folder()
    if folder is None or read_sweep(folder)[1].pid == os.getpid():
        yield
        return
    with (
        (folder / "cells" / f"{os.getpid()}.log").open("a") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        yield


def _check_cell(cfg: DictConfig) -> None:
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise BadInput(f"{key} has no value of its own and must be given, got none. Add {key}=…")
    if not isinstance(cfg.name, str) or not cfg.name or set(cfg.name) & set("/\\"):
        raise BadInput(f"name must be text without slashes, for a folder's name; got {cfg.name!r}. Try name=trial.")
    if not is_whole(cfg.seed, 0):
        raise BadInput(f"seed must be a whole number, 0 or more; got {cfg.seed!r}. For example seed=0.")
    if not isinstance(cfg.baseline, bool):
        raise BadInput(f"baseline must be true or false, got {cfg.baseline!r}. Try baseline=true.")
    if not OmegaConf.is_list(cfg.tags):
        raise BadInput(f"tags must be a list, got {cfg.tags!r}. Try tags=[{cfg.tags}].")

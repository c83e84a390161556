"""What the workers of a sweep take over from their parent process, and how many of them run at once."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from joblib import cpu_count
from omegaconf import DictConfig, OmegaConf

from kdlab.runtime.sweep_records import Sweep
from kdlab.sweeps.attempt import Task

POLL_SECONDS = 1.0
OVERSUBSCRIBED = 1.5  # threads per core from which a hint is printed


def with_parent_settings(task: Task) -> Task:
    """The task with the working directory, module path and thread count of this process, in any worker.

    Relative paths and the user's own modules are then found in the worker too. `hardware.threads=null` means this
    process's number of threads: launchers set other numbers in their workers, and a stage's results depend on it by
    rounding. A worker that this process started ends with it, also by SIGKILL.

    Args:
        task: of one cell; pickled by value if it is a closure, like the task that is returned.
    """
    folder, modules, threads, parent = Path.cwd(), tuple(sys.path), torch.get_num_threads(), os.getpid()

    def work(cfg: DictConfig) -> object:
        if os.getppid() == parent:  # on a cluster others start the workers
            end_with_parent()
        os.chdir(folder)
        sys.path.extend(module for module in modules if module not in sys.path)
        torch.set_num_threads(threads)
        return task(cfg)

    return work


@cache
def end_with_parent() -> None:
    """Ends this process soon after its parent, however that ended: the store has what was saved."""
    threading.Thread(target=_exit_after, args=(os.getppid(),), daemon=True).start()


def _exit_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def oversubscription_hint(sweep: Sweep, config: DictConfig) -> str | None:
    """A hint for a sweep whose cells use many more threads at once than this machine has cores; else None.

    Args:
        sweep: with its number of cells.
        config: of its first cell, with `hydra`.
    """
    cores = cpu_count()
    launcher: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    together = [count for count in (sweep.cells, config.hydra.sweeper.get("max_batch_size")) if count]
    jobs = jobs_at_once(launcher, min(together, default=None), cores)
    threads = config.hardware.threads or torch.get_num_threads()
    if not isinstance(threads, int) or jobs < 2 or jobs * threads < OVERSUBSCRIBED * cores:
        return None
    return (
        f"{jobs} cells at once with {threads} threads each, on {cores} cores: hardware.threads={max(cores // jobs, 1)} "
        "gives each cell its share of the cores. (The number of threads changes results, by rounding.)"
    )


def jobs_at_once(launcher: Mapping[str, Any], cells: int | None, cores: int) -> int:
    """How many cells a launcher runs on this machine at the same time, by its settings.

    Args:
        launcher: the settings `hydra.launcher`.
        cells: of the sweep; None when only the sweeper knows.
        cores: of this machine.
    """
    at_most = cores if cells is None else cells
    match launcher:
        case {"n_jobs": int(n_jobs)}:  # joblib
            return min(n_jobs if n_jobs > 0 else max(cores + 1 + n_jobs, 1), at_most)
        case {"ray": {"init": init, "remote": remote}}:
            return min(int((init.get("num_cpus") or cores) // (remote.get("num_cpus") or 1)), at_most)
        case {"submitit_folder": _} if "partition" not in launcher:  # submitit on this machine, not SLURM
            return at_most  # it starts all of them
    return 1

"""What the workers of a sweep take over from the process that was started, and how many of them there will be."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from joblib import cpu_count
from omegaconf import DictConfig, OmegaConf

from kdlab.runtime.sweep_records import Sweep
from kdlab.sweeps.attempt import Task

CROWDED = 1.5  # threads for each core from which it is worth a word


def at_home(task: Task) -> Task:
    """The task as it would run here, in whatever process a launcher runs it.

    Relative paths and the user's own modules are found from there too. So is the number of CPU threads that
    `hardware.threads=null` stands for: launchers give their workers other numbers, and a stage's bits depend on it.

    Args:
        task: of one cell; pickled by value where it is a closure, like what comes back.
    """
    folder, modules, threads = Path.cwd(), tuple(sys.path), torch.get_num_threads()

    def work(cfg: DictConfig) -> object:
        os.chdir(folder)
        sys.path.extend(module for module in modules if module not in sys.path)
        torch.set_num_threads(threads)
        return task(cfg)

    return work


def crowding(sweep: Sweep, config: DictConfig) -> str | None:
    """What to say of a sweep whose cells want many more threads at once than this machine has cores.

    Args:
        sweep: what is asked.
        config: of its first cell, with `hydra`.
    """
    cores = cpu_count()
    launcher: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    together = [count for count in (sweep.cells, config.hydra.sweeper.get("max_batch_size")) if count]
    jobs = jobs_at_once(launcher, min(together, default=None), cores)
    threads = config.hardware.threads or torch.get_num_threads()
    if not isinstance(threads, int) or jobs < 2 or jobs * threads < CROWDED * cores:
        return None
    return (
        f"{jobs} cells at once with {threads} threads each, on {cores} cores: hardware.threads={max(cores // jobs, 1)} "
        "would give each its share. (Its results are its own: they depend on the threads, to the last bit.)"
    )


def jobs_at_once(launcher: Mapping[str, Any], cells: int | None, cores: int) -> int:
    """How many cells a launcher runs on this machine at the same time, by the settings that it has.

    Args:
        launcher: the settings `hydra.launcher`.
        cells: of the sweep; None when only the sweeper knows.
        cores: of this machine.
    """
    at_most = cores if cells is None else cells
    match launcher:
        case {"n_jobs": int(wanted)}:  # joblib
            return min(wanted if wanted > 0 else max(cores + 1 + wanted, 1), at_most)
        case {"ray": {"init": init, "remote": remote}}:
            return min(int((init.get("num_cpus") or cores) // (remote.get("num_cpus") or 1)), at_most)
        case {"submitit_folder": _} if "partition" not in launcher:  # submitit on this machine, not SLURM
            return at_most  # it starts all of them
    return 1

"""One rank of two, through `ranks.main`; its last collective ends while the interpreter of rank 1 shuts down.

python -m tests.jobs.training.late_rank FOLDER RANK
"""

import atexit
import ctypes
import sys

# Registered before torch's, so it runs last, and holds the GIL: no other thread runs before finalization.
if sys.argv[2] == "1":
    atexit.register(ctypes.PyDLL(None).usleep, 2_000_000)

import time

import torch
import torch.distributed as dist

from kdlab.jobs.training import ranks


class Pause:
    """Releases the GIL in the middle of finalization."""

    def __del__(self, sleep=time.sleep):
        sleep(0.5)


def collective(folder, rank, failure=None):
    """In place of a training: rank 1 ends, or fails, before rank 0 reaches the collective."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    if rank == 0:
        time.sleep(1)
    work = dist.all_reduce(torch.ones(4), async_op=True)
    if rank == 0:
        work.wait()
    elif failure:
        raise failure


pause = Pause()

if __name__ == "__main__":
    ranks.train = lambda stage, *_, report: collective(*stage)
    ranks.main()

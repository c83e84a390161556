"""Processes that write rows at the same time, or are killed while writing.

python -m tests.teachers.cache.writers FOLDER SEED      writes random batches
python -m tests.teachers.cache.writers FOLDER           is killed half way through each of its write calls in turn
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from kdlab.teachers.cache.rows import Rows

ROW_BYTES = 40
ADDRESSES = 300


def content(addresses):
    """Rows that are determined by their addresses."""
    return np.stack(
        [np.random.default_rng(address).integers(0, 256, ROW_BYTES, np.uint8) for address in addresses.tolist()]
    )


def opened(folder):
    return Rows(folder, row_bytes=ROW_BYTES, max_bytes=10**9)


def write_random_batches(folder, seed):
    rows, draw = opened(folder), np.random.default_rng(seed)
    for _ in range(100):
        addresses = draw.choice(ADDRESSES, 8, replace=False)
        assert rows.write(addresses, content(addresses))


def die_in_call(folder, call):
    """Writes five rows and is killed in the middle of that write call; False if there are fewer calls."""
    child = os.fork()
    if not child:
        calls, pwrite = iter(range(call)), os.pwrite

        def killed(file, data, offset):
            if next(calls) < call - 1:
                return pwrite(file, data, offset)
            pwrite(file, data[: len(data) // 2], offset)
            os.kill(os.getpid(), signal.SIGKILL)

        os.pwrite = killed
        addresses = 10 * call + np.arange(5)
        opened(folder).write(addresses, content(addresses))
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write_random_batches(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        call = 1
        while die_in_call(Path(sys.argv[1]), call):
            call += 1
        print(call)

"""Randomness by counter: a number from (stream, seed, epoch, step, …) needs no state, so resuming is exact."""

import zlib

import numpy as np


def derive_seed(stream: str, *counters: int) -> int:
    """A 63-bit seed that depends on the stream's name and on every counter (each 0 or more)."""
    words = np.random.SeedSequence([zlib.crc32(stream.encode()), *counters]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))

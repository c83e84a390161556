"""Counter-based randomness: each use draws from its own stream, which depends on counters and not on earlier draws.

A resumed run, another rank or another number of workers therefore draws the same numbers.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What numbers are drawn for; two uses of the same seed stay independent."""

    ORDER = 1
    VIEW = 2
    SPLIT = 3
    RESIZED_CROP = 4
    WEIGHTS = 5
    STEP = 6
    TERMS = 7
    TERM_STEP = 8
    CORRUPTIONS = 9
    MIXING = 10
    RANDAUGMENT = 11


def generator(stream: Stream, *counters: int) -> np.random.Generator:
    """A generator whose numbers depend on nothing but its arguments.

    Args:
        stream: what the numbers are for.
        counters: seed first, then epoch, index and so on; each at least 0.
    """
    return np.random.default_rng([int(stream), *counters])


def derive_seed(stream: Stream, *counters: int) -> int:
    """A seed for torch's generators, 63 bits, that depends on nothing but its arguments; see `generator`."""
    words = np.random.SeedSequence([int(stream), *counters]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))

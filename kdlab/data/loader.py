"""The iterable a Trainer trains on: one that can begin in the middle of any epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L


class EpochLoader:
    """Yields the batches of the current epoch that have not been trained on yet.

    Its length is always that of the whole epoch: Lightning adds the batches already done to those it fetches.
    Being sized, it is not prefetched; not being a `DataLoader`, it is neither wrapped nor resampled.

    Args:
        batches: in a whole epoch, at least 1.
        draw: yields the batches of an epoch from a given one on: `draw(epoch, first)`.
        position: returns `(epoch, first batch)`; called when the first batch is fetched.
    """

    def __init__(
        self,
        *,
        batches: int,
        draw: Callable[[int, int], Iterator[Any]],
        position: Callable[[], tuple[int, int]],
    ) -> None:
        self.batches = batches
        self.draw = draw
        self.position = position

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        # A generator: Lightning calls iter() before it has restored or advanced its counters, next() after.
        yield from self.draw(*self.position())

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the position is the trainer's own. Its presence tells Lightning that resuming is exact."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore, see `state_dict`."""


def trainer_position(trainer: L.Trainer | None) -> tuple[int, int]:
    """The position of training: epoch and batch within it, both counted from 0; `(0, 0)` without a trainer."""
    if trainer is None:
        return 0, 0
    return trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready


def rank_and_world_size(trainer: L.Trainer | None) -> tuple[int, int]:
    """The rank of this process and the number of ranks: `(0, 1)` without a trainer."""
    return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

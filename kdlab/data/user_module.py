"""A user's own LightningDataModule: its DataLoader in an order of (seed, epoch), resumed exactly, shared by ranks."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from kdlab.data.batch import BatchIndices
from kdlab.data.loader import EpochLoader, rank_of_ranks, trainer_position
from kdlab.data.module import Addressed
from kdlab.data.seeds import Stream, derive_seed
from kdlab.data.stream import TrainingStream, evaluation_batches
from kdlab.errors import BadInput

NOTHING: tuple[Any, ...] = (None, [], ())  # what a module without validation may give; a loader may have no length

Fetch = Callable[[Sequence[BatchIndices]], Iterator[Any]]


def share_out(data: L.LightningDataModule, seed: int) -> None:
    """Makes the loaders of a user's data module like those of kdlab's own, as far as what they hold can be known.

    A torch DataLoader over a map-style data set, in order or with `shuffle=True`, trains in an order that seed and
    epoch determine; what a sample draws at random, from torch, numpy or `random`, depends on seed, epoch and index.
    Its batch size is that of all ranks together, and each rank takes its share. Several ranks share validation, so that
    each sample counts once. Every other loader stays as it is; several ranks refuse it, see `check_ranks`.

    Args:
        data: changed in place; kdlab's own, and one with `shards_itself = True`, are left alone.
        seed: of order and samples.
    """
    if isinstance(data, Addressed) or getattr(data, "shards_itself", False):
        return
    train, validation = data.train_dataloader, data.val_dataloader
    # On the instance: Lightning looks there for loaders, and a module around it would have to pass every hook on.
    setattr(data, "train_dataloader", lambda: _training(data, train(), seed))  # noqa: B010
    if has_validation(data):
        setattr(data, "val_dataloader", lambda: _validation(data, validation(), seed))  # noqa: B010


def check_ranks(data: L.LightningDataModule, ranks: int) -> None:
    """Refuses data of which several ranks cannot train on a share each.

    Args:
        data: of kdlab's or of a user's, set up.
        ranks: at least 2.

    Raises:
        BadInput: saying what to do.
    """
    if isinstance(data, Addressed):
        data.check_ranks(ranks)
    elif not getattr(data, "shards_itself", False):
        _stream(data, data.train_dataloader(), ranks, 0)
        if has_validation(data) and (loader := data.val_dataloader()) not in NOTHING:
            _require_plain(data, "val_dataloader", loader, ranks)


def has_validation(data: L.LightningDataModule) -> bool:
    """Whether a data module has a validation loader of its own."""
    return type(data).val_dataloader is not L.LightningDataModule.val_dataloader


def _training(data: L.LightningDataModule, loader: Any, seed: int) -> Any:
    rank, ranks = rank_of_ranks(data.trainer)
    if ranks == 1 and _obstacle(loader):
        return loader
    stream, fetch = _stream(data, loader, ranks, seed), _fetch(loader, seed)
    return EpochLoader(
        batches=len(stream),
        draw=lambda epoch, first: fetch(stream.batches(epoch, rank, ranks)[first:]),
        position=lambda: trainer_position(data.trainer),
    )


def _validation(data: L.LightningDataModule, loader: Any, seed: int) -> Any:
    rank, ranks = rank_of_ranks(data.trainer)
    if ranks == 1 or loader in NOTHING:
        return loader
    _require_plain(data, "val_dataloader", loader, ranks)
    samples = len(loader) * loader.batch_size if loader.drop_last else len(loader.dataset)
    shares = evaluation_batches(torch.arange(samples), loader.batch_size, rank, ranks)
    batches = [BatchIndices(share, torch.zeros_like(share)) for share in shares if len(share)]
    fetch = _fetch(loader, seed)
    return EpochLoader(batches=len(shares), draw=lambda _, first: fetch(batches[first:]), position=lambda: (0, 0))


def _stream(data: L.LightningDataModule, loader: Any, ranks: int, seed: int) -> TrainingStream:
    """The batches of a plain loader; a sample's view is the epoch.

    Raises:
        BadInput: it is none, or some rank would have no sample in some step.
    """
    _require_plain(data, "train_dataloader", loader, ranks)
    order = seed if isinstance(loader.sampler, RandomSampler) else None
    positions = torch.arange(len(loader.dataset))
    stream = TrainingStream(
        positions, loader.batch_size, lambda epoch, samples: torch.full_like(samples, epoch), loader.drop_last, order
    )
    said = f"data: {type(data).__name__}.train_dataloader() has batch_size={loader.batch_size}"
    if loader.batch_size < ranks:
        raise BadInput(f"{said}, less than one sample for each of the {ranks} ranks that share it: raise it")
    if not len(stream):
        raise BadInput(f"{said} and drop_last=True, which leaves no batch of {len(positions)} samples: lower it")
    if 0 < stream.left_over < ranks:
        raise BadInput(
            f"{said}, which leaves {stream.left_over} of {len(positions)} samples to the last batch, fewer than the "
            f"{ranks} ranks: set drop_last=True or another size"
        )
    return stream


def _require_plain(data: L.LightningDataModule, method: str, loader: Any, ranks: int) -> None:
    if found := _obstacle(loader):
        raise BadInput(
            f"data: each of {ranks} ranks needs its own share of the data, and {type(data).__name__}.{method}() gives "
            f"{found}. kdlab shares out a torch DataLoader over a map-style data set, in order or with shuffle=True. "
            "Give that, or set trainer.devices=1, or give each rank its share yourself, by self.trainer.global_rank "
            "of self.trainer.world_size (and everything where self.trainer is None), and say so by "
            "shards_itself = True in the class."
        )


def _obstacle(loader: Any) -> str | None:
    """What keeps a loader's batches from being known; None where nothing does."""
    if type(loader) is not DataLoader:
        return f"a {type(loader).__name__}"
    if isinstance(loader.dataset, IterableDataset):
        return f"a DataLoader over an iterable data set, {type(loader.dataset).__name__}"
    if loader.batch_sampler is None:
        return "a DataLoader with batch_size=None"
    if type(loader.batch_sampler) is not BatchSampler:
        return f"a DataLoader with the batch sampler {type(loader.batch_sampler).__name__}"
    return None if _is_usual(loader.sampler, loader.dataset) else f"a DataLoader with {_named(loader.sampler)}"


def _is_usual(sampler: Any, dataset: Any) -> bool:
    """Whether it is what a DataLoader makes of `shuffle` alone."""
    if type(sampler) not in (SequentialSampler, RandomSampler) or sampler.data_source is not dataset:
        return False
    usual = RandomSampler(dataset)
    names = ("replacement", "num_samples", "generator")
    return all(getattr(sampler, name, getattr(usual, name)) == getattr(usual, name) for name in names)


def _named(sampler: Any) -> str:
    shuffles = type(sampler) is RandomSampler
    return "replacement, num_samples or a generator of its own" if shuffles else f"the sampler {type(sampler).__name__}"


def _fetch(loader: DataLoader[Any], seed: int) -> Fetch:
    """Batches of a plain loader by their indices, by its own workers and in its own way of making batches."""
    wanted: list[list[tuple[int, int]]] = []
    again = DataLoader(
        SeededSamples(loader.dataset, seed),
        batch_sampler=wanted,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=torch.Generator(),  # otherwise each epoch would draw from the global one
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )

    def fetch(batches: Sequence[BatchIndices]) -> Iterator[Any]:
        wanted[:] = [list(zip(at.tolist(), view.tolist(), strict=True)) for at, view in batches]
        return iter(again)

    return fetch


class SeededSamples(Dataset[Any]):
    """A data set of which a sample's random numbers depend on seed, view and index, not on what was drawn before.

    Args:
        dataset: map-style, by index.
        seed: at least 0.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitems__(self, wanted: list[tuple[int, int]]) -> list[Any]:
        """The samples of `(index, view)` pairs."""
        with isolate_rng(include_cuda=False):
            starts = {view: derive_seed(Stream.VIEW, self.seed, view) for _, view in wanted}
            samples = []
            for index, view in wanted:
                seed = (starts[view] + index) % 2**32
                torch.default_generator.manual_seed(seed)  # `torch.manual_seed` seeds every device, and takes 0.8 ms
                np.random.seed(seed)
                random.seed(seed)
                samples.append(self.dataset[index])
            return samples

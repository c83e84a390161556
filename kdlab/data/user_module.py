"""A user's own LightningDataModule: order by (seed, epoch), exact resume, and a share of each batch for each rank."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from kdlab.data.batch import BatchIndices
from kdlab.data.loader import EpochLoader, rank_and_world_size, trainer_position
from kdlab.data.module import Addressed
from kdlab.data.seeds import Stream, derive_seed
from kdlab.data.stream import TrainingStream, evaluation_batches
from kdlab.errors import BadInput

NO_LOADER: tuple[Any, ...] = (None, [], ())  # what `val_dataloader` may return; a loader need not have a length

Fetch = Callable[[Sequence[BatchIndices]], Iterator[Any]]


def shard_loader(data: L.LightningDataModule, seed: int) -> None:
    """Make a user's loaders deterministic, resumable and sharded like those of kdlab's own data, where possible.

    A torch DataLoader over a map-style data set, in order or with `shuffle=True`, trains in an order that depends on
    seed and epoch; random numbers drawn for a sample, from torch, numpy or `random`, depend on seed, epoch and index.
    Its batch size is that of all ranks together, and each rank takes its share. Several ranks share validation, so that
    each sample counts once. Every other loader stays as it is; with several ranks it is an error, see `check_ranks`.

    Args:
        data: changed in place; kdlab's own, and one with `shards_itself = True`, are left alone.
        seed: of order and samples.
    """
    if isinstance(data, Addressed) or getattr(data, "shards_itself", False):
        return
    train, validation = data.train_dataloader, data.val_dataloader
    # Set on the instance, where Lightning looks for loaders: a wrapper would have to forward every hook.
    setattr(data, "train_dataloader", lambda: _training(data, train(), seed))  # noqa: B010
    if has_validation(data):
        setattr(data, "val_dataloader", lambda: _validation(data, validation(), seed))  # noqa: B010


def check_ranks(data: L.LightningDataModule, ranks: int) -> None:
    """Raise for data that several ranks cannot share.

    Args:
        data: of kdlab's or of a user's, set up.
        ranks: at least 2.

    Raises:
        BadInput: with what to do instead.
    """
    if isinstance(data, Addressed):
        data.check_ranks(ranks)
    elif not getattr(data, "shards_itself", False):
        _stream(data, data.train_dataloader(), ranks, 0)
        if has_validation(data) and (loader := data.val_dataloader()) not in NO_LOADER:
            _require_shardable(data, "val_dataloader", loader, ranks)


def has_validation(data: L.LightningDataModule) -> bool:
    """Whether a data module has a validation loader of its own."""
    return type(data).val_dataloader is not L.LightningDataModule.val_dataloader


def _training(data: L.LightningDataModule, loader: Any, seed: int) -> Any:
    rank, ranks = rank_and_world_size(data.trainer)
    if ranks == 1 and _unsupported(loader):
        return loader
    stream, fetch = _stream(data, loader, ranks, seed), _fetch(loader, seed)
    return EpochLoader(
        batches=len(stream),
        draw=lambda epoch, first: fetch(stream.batches(epoch, rank, ranks)[first:]),
        position=lambda: trainer_position(data.trainer),
    )


def _validation(data: L.LightningDataModule, loader: Any, seed: int) -> Any:
    rank, ranks = rank_and_world_size(data.trainer)
    if ranks == 1 or loader in NO_LOADER:
        return loader
    _require_shardable(data, "val_dataloader", loader, ranks)
    samples = len(loader) * loader.batch_size if loader.drop_last else len(loader.dataset)
    shares = evaluation_batches(torch.arange(samples), loader.batch_size, rank, ranks)
    batches = [BatchIndices(share, torch.zeros_like(share)) for share in shares if len(share)]
    fetch = _fetch(loader, seed)
    return EpochLoader(batches=len(shares), draw=lambda _, first: fetch(batches[first:]), position=lambda: (0, 0))


def _stream(data: L.LightningDataModule, loader: Any, ranks: int, seed: int) -> TrainingStream:
    """The batches of a loader that can be sharded; a sample's view is the epoch.

    Raises:
        BadInput: the loader cannot be sharded, or a rank would have no sample in some step.
    """
    _require_shardable(data, "train_dataloader", loader, ranks)
    order = seed if isinstance(loader.sampler, RandomSampler) else None
    positions = torch.arange(len(loader.dataset))
    stream = TrainingStream(
        positions, loader.batch_size, lambda epoch, samples: torch.full_like(samples, epoch), loader.drop_last, order
    )
    setting = f"data: {type(data).__name__}.train_dataloader() has batch_size={loader.batch_size}"
    if loader.batch_size < ranks:
        raise BadInput(f"{setting}, less than one sample for each of the {ranks} ranks that share it: raise it")
    if not len(stream):
        raise BadInput(f"{setting} and drop_last=True, which leaves no batch of {len(positions)} samples: lower it")
    if 0 < stream.left_over < ranks:
        raise BadInput(
            f"{setting}, which leaves {stream.left_over} of {len(positions)} samples to the last batch, fewer than the "
            f"{ranks} ranks: set drop_last=True or another size"
        )
    return stream


def _require_shardable(data: L.LightningDataModule, method: str, loader: Any, ranks: int) -> None:
    if found := _unsupported(loader):
        raise BadInput(
            f"data: each of {ranks} ranks needs its own share of the data, and {type(data).__name__}.{method}() "
            f"returns {found}. kdlab can shard a torch DataLoader over a map-style data set, in order or with "
            "shuffle=True. Return one, or set trainer.devices=1, or shard the data yourself by self.trainer.global_rank"
            " and self.trainer.world_size (all of it where self.trainer is None) and set shards_itself = True in the "
            "class."
        )


def _unsupported(loader: Any) -> str | None:
    """A description of the loader where it cannot be sharded; None where it can."""
    if type(loader) is not DataLoader:
        return f"a {type(loader).__name__}"
    if isinstance(loader.dataset, IterableDataset):
        return f"a DataLoader over an iterable data set, {type(loader.dataset).__name__}"
    if loader.batch_sampler is None:
        return "a DataLoader with batch_size=None"
    if type(loader.batch_sampler) is not BatchSampler:
        return f"a DataLoader with the batch sampler {type(loader.batch_sampler).__name__}"
    return None if _is_default(loader.sampler, loader.dataset) else f"a DataLoader with {_description(loader.sampler)}"


def _is_default(sampler: Any, dataset: Any) -> bool:
    """Whether a DataLoader creates this sampler from `shuffle` alone."""
    if type(sampler) not in (SequentialSampler, RandomSampler) or sampler.data_source is not dataset:
        return False
    default = RandomSampler(dataset)
    names = ("replacement", "num_samples", "generator")
    return all(getattr(sampler, name, getattr(default, name)) == getattr(default, name) for name in names)


def _description(sampler: Any) -> str:
    shuffles = type(sampler) is RandomSampler
    return "replacement, num_samples or a generator of its own" if shuffles else f"the sampler {type(sampler).__name__}"


def _fetch(loader: DataLoader[Any], seed: int) -> Fetch:
    """A function that loads batches by their indices, with the loader's own workers and collate function."""
    pairs: list[list[tuple[int, int]]] = []
    seeded = DataLoader(
        SeededSamples(loader.dataset, seed),
        batch_sampler=pairs,
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
        pairs[:] = [list(zip(samples.tolist(), view.tolist(), strict=True)) for samples, view in batches]
        return iter(seeded)

    return fetch


class SeededSamples(Dataset[Any]):
    """A data set whose random numbers for a sample depend on seed, view and index, not on earlier draws.

    Args:
        dataset: map-style, by index.
        seed: at least 0.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitems__(self, pairs: list[tuple[int, int]]) -> list[Any]:
        """The samples of `(index, view)` pairs."""
        with isolate_rng(include_cuda=False):
            base_seeds = {view: derive_seed(Stream.VIEW, self.seed, view) for _, view in pairs}
            samples = []
            for index, view in pairs:
                seed = (base_seeds[view] + index) % 2**32
                torch.default_generator.manual_seed(seed)  # `torch.manual_seed` seeds every device, and takes 0.8 ms
                np.random.seed(seed)
                random.seed(seed)
                samples.append(self.dataset[index])
            return samples

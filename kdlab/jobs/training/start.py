"""The network with which a stage starts that has no initial weights of its own: another stage's, pruned."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.seed import isolate_rng
from torch.optim.swa_utils import update_bn

from kdlab.data.batch import Batch, Inputs, sample_count
from kdlab.data.module import Addressed
from kdlab.data.seeds import Stream, derive_seed
from kdlab.data.user_module import shard_loader
from kdlab.jobs.training.hardware import accelerator
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import one_sample
from kdlab.models.masks import mask_smallest
from kdlab.models.network import Network
from kdlab.models.pruning import prune
from kdlab.models.saved import load_network, make_network

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage, Start


def starting_network(stage: "Stage", folder: Path) -> Network:
    """The network of the stage's `start`, pruned, with new statistics of its norms.

    It depends on that stage and on the settings of the pruning alone: stages with one start have the same weights.

    Args:
        stage: has a `start`.
        folder: of the stage that it starts from.
    """
    assert stage.start is not None
    source, pruning = stage.start.stage, stage.start.pruning
    network = load_network(folder, channels_last=bool(stage.hardware.get("channels_last")))
    data = make_data(source.data)
    data.setup("fit")
    shard_loader(data, source.seed)
    with isolate_rng(include_cuda=False):
        torch.manual_seed(derive_seed(Stream.WEIGHTS, source.seed, 2))  # for dropout, and for channels chosen at random
        prune_network(network, stage.start, one_sample(data).inputs)
        if pruning.recalibration_samples:
            _recalibrate(network, data, pruning.recalibration_samples, torch.device(accelerator(stage)))
    return network.train()


def prune_network(network: Network, start: "Start", example: Inputs) -> None:
    """Prunes the network of a start in place.

    Args:
        network: of the stage, or one of the same shapes.
        start: the stage and the settings of the pruning.
        example: a batch of one sample.

    Raises:
        BadInput: it cannot be pruned, or not that far.
    """
    if start.pruning.structured:
        built = make_network({**start.stage.network, "pretrained": False, "checkpoint": None})
        name = str(start.stage.network["name"])
        prune(network, built, example, start.pruning, name=name, seed=start.stage.seed)
    else:
        mask_smallest(network.module, start.pruning.ratio)


def _recalibrate(network: Network, data: LightningDataModule, samples: int, device: torch.device) -> None:
    """Computes the statistics of the norms anew on training images, without labels."""
    network.to(device).train()
    update_bn((_on(batch, device) for batch in _whole_batches(data, samples)), network)
    network.cpu()


def _on(inputs: Inputs, device: torch.device) -> Inputs:
    return Batch(inputs, torch.empty(0)).to(device).inputs


def _whole_batches(data: LightningDataModule, samples: int) -> Iterator[Inputs]:
    """The first batches of epoch 0, in their views: as many as hold the samples, without a smaller one at its end."""
    taken = first = 0
    for inputs in _epoch(data, samples):
        size = sample_count(inputs)
        first = first or size
        if taken >= samples or size < first:
            return
        taken += size
        yield inputs


def _epoch(data: LightningDataModule, samples: int) -> Iterator[Inputs]:
    if isinstance(data, Addressed):
        return data.training_inputs(data.batches(0)[: -(-samples // data.batch_size)])
    return (Batch.of(batch).inputs for batch in data.train_dataloader())

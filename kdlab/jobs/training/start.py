"""The network with which a stage starts that has no initial weights of its own: another stage's, changed."""

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
from kdlab.models.fake_quantised import Quantisation, fake_quantise
from kdlab.models.masks import mask_smallest
from kdlab.models.network import Network
from kdlab.models.pruning import prune
from kdlab.models.saved import load_network, make_network

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage, Start


def starting_network(stage: "Stage", folder: Path) -> Network:
    """The network of the stage's `start`, changed, with new statistics of its norms or first ranges.

    It depends on that stage and on the settings of the change alone: stages with one start have the same weights.

    Args:
        stage: has a `start`.
        folder: of the stage that it starts from.
    """
    assert stage.start is not None
    source, change = stage.start.stage, stage.start.change
    network = load_network(folder, channels_last=bool(stage.hardware.get("channels_last")))
    data = make_data(source.data)
    data.setup("fit")
    shard_loader(data, source.seed)
    with isolate_rng(include_cuda=False):
        torch.manual_seed(derive_seed(Stream.WEIGHTS, source.seed, 2))  # for dropout, and for channels chosen at random
        change_network(network, stage.start, one_sample(data).inputs)
        device = torch.device(accelerator(stage))
        if isinstance(change, Quantisation):
            _calibrate(network, data, change.calibration_samples, device)
        elif change.recalibration_samples:
            _recalibrate(network, data, change.recalibration_samples, device)
    return network.train()


def change_network(network: Network, start: "Start", example: Inputs) -> None:
    """Changes the network of a start in place.

    Args:
        network: of the stage, or one of the same shapes.
        start: the stage and the settings of the change.
        example: a batch of one sample.

    Raises:
        BadInput: it cannot be changed, or not that far.
    """
    change, name = start.change, str(start.stage.network["name"])
    if isinstance(change, Quantisation):
        fake_quantise(network, example, name=name)
    elif change.structured:
        built = make_network({**start.stage.network, "pretrained": False, "checkpoint": None})
        prune(network, built, example, change, name=name, seed=start.stage.seed)
    else:
        mask_smallest(network.module, change.ratio)


def _recalibrate(network: Network, data: LightningDataModule, samples: int, device: torch.device) -> None:
    """Computes the statistics of the norms anew on training images, without labels."""
    network.to(device).train()
    update_bn((_on(batch, device) for batch in _whole_batches(data, samples)), network)
    network.cpu()


@torch.no_grad()
def _calibrate(network: Network, data: LightningDataModule, samples: int, device: torch.device) -> None:
    """Finds the first ranges of a fake-quantised network's activations on training images, without labels."""
    network.to(device).train()
    for batch in _whole_batches(data, samples):
        network(_on(batch, device))
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

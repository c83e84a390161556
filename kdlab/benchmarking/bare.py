"""kdlab's own tensors in a loop without Lightning: the floor that a framework can reach."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from kdlab.data.batch import Batch
from kdlab.data.image.memory import InMemory
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.stage import Stage
from kdlab.models.network import Network
from kdlab.settings.targets import build


def bare_loop(stage: Stage, network: Network, device: torch.device) -> Iterator[None]:
    """Trains from the labels only, for ever, and yields after each step.

    Args:
        stage: the recipe; its data are an `InMemory`, its scheduler counts steps.
        network: the stage's student.
        device: to train on.
    """
    data = make_data(stage.data)
    assert isinstance(data, InMemory)
    data.setup("fit")
    network.to(device).train()
    loader = data.train_dataloader()
    optimizer = build(stage.optimizer, "optimizer")(network.parameters())
    scheduler = build(stage.scheduler, "scheduler")(optimizer, total_steps=stage.epochs * len(loader))
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled="bf16" in str(stage.hardware["precision"]))
    for batch in _batches(data):
        moved = batch.to(device)
        assert isinstance(moved.inputs, torch.Tensor) and batch.view is not None
        images = data.views.apply(moved.inputs, batch.view.to(device))
        optimizer.zero_grad()
        with autocast():
            loss = F.cross_entropy(network(images).float(), moved.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
        yield


def _batches(data: InMemory) -> Iterator[Batch]:
    while True:
        yield from data.train_dataloader()

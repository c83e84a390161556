"""A data set small enough to check by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch

from kdlab.data.image.memory import Arrays, InMemory, Reader

CLASSES = 3


def read_tiny(source: str) -> Arrays:
    samples = 50 if source == "train" else 20
    images = torch.randint(0, 256, (samples, 3, 8, 8), generator=torch.Generator().manual_seed(samples))
    labels = torch.arange(samples) % CLASSES
    return Arrays(images.to(torch.uint8), labels, ("a", "b", "c"))


@dataclass(eq=False, kw_only=True)
class Tiny(InMemory):
    batch_size: int = 8
    image_size: int | None = None

    def reader(self) -> Reader:
        return read_tiny


def ready(**settings) -> Tiny:
    data = Tiny(**settings)
    data.setup()
    return data


def trainer_on(device: str = "cpu", **attributes) -> SimpleNamespace:
    """The attributes of a Trainer that data modules read."""
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), **attributes)


def assert_equal(batch, other):
    """Two batches are equal, bit for bit."""
    for name in ("inputs", "targets", "index", "view"):
        torch.testing.assert_close(getattr(batch, name), getattr(other, name), rtol=0, atol=0)

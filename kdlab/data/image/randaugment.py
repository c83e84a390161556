"""RandAugment, determined by the sample and its view.

Cubuk, Zoph, Shlens & Le, "RandAugment: Practical automated data augmentation with a reduced search space", NeurIPS 2020
(arXiv:1909.13719); the operations are torchvision's.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import RandAugment

from kdlab.data.seeds import Stream, derive_seed

OPERATIONS = 2  # for each image
LARGEST = 30  # magnitude


def randaugmented(images: Tensor, samples: Tensor, view: Tensor, magnitude: int) -> Tensor:
    """Two operations on each image, chosen for its position and view, and for nothing else.

    Args:
        images: `(batch, channels, height, width)`, uint8.
        samples: `(batch,)`, int64; positions in the training list.
        view: `(batch,)`, int64.
        magnitude: of every operation, from 1 to 30.
    """
    augment = RandAugment(num_ops=OPERATIONS, magnitude=magnitude)
    found = []
    with torch.random.fork_rng(devices=[]):
        for image, index, seen in zip(images, samples.tolist(), view.tolist(), strict=True):
            torch.default_generator.manual_seed(derive_seed(Stream.RANDAUGMENT, index, seen))
            found.append(augment(image))
    return torch.stack(found)

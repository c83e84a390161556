"""Each family of networks with seeded weights, in double precision, and the size of each published network."""

import hashlib
from functools import partial
from typing import Any

import numpy as np
import torch

from kdlab.models import cifar
from tests.recorded.recording import Case, Values, case_of, owner, summary

SMALL: dict[str, dict[str, Any]] = {
    "mobilenetv2_half": {"width": 0.25},
    "resnet8": {"widths": (2, 2, 4, 4)},
    "resnet8x4": {"widths": (2, 2, 4, 4)},
    "resnet50_cifar": {},
    "shufflenetv1": {},
    "shufflenetv2": {},
    "small_cnn": {"image_size": 16},
    "vgg8": {"widths": ((2,), (2,), (4,), (4,), (4,))},
    "wrn_16_1": {"depth": 10, "width": 0.25},
}


def computed(name: str) -> Values:
    """Weights before training, and logits in training and evaluation."""
    side = 32 if name == "mobilenetv2_half" else 16  # at stride 16 a map of one position has hardly any variance
    images = torch.from_numpy(np.random.default_rng(0).uniform(size=(4, 3, side, side)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(cifar, name)(num_classes=4, **SMALL[name]).double()
    weights = summary(*network.state_dict().values())
    with torch.no_grad():
        training, evaluation = network(images), network.eval()(images)
    return {"weights": weights, "training": summary(training), "evaluation": summary(evaluation)}


def size(name: str) -> Values:
    """The shapes of all weights, computed on the meta device."""
    with torch.device("meta"):
        network = getattr(cifar, name)(num_classes=100, **({"depth": 16, "width": 1} if name == "wrn" else {}))
    shapes = str([tuple(parameter.shape) for parameter in network.parameters()])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "shapes": hashlib.sha256(shapes.encode()).hexdigest()[:16]}


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for name in cifar.__all__:
        family = owner(getattr(cifar, name))
        found[f"{family}: size of {name}"] = case_of(family, partial(size, name))
        if name in SMALL:
            found[f"{family}: {name}"] = case_of(family, partial(computed, name))
    return found


NETWORKS = cases()

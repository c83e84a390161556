"""Parameters and logits of the networks of github.com/HobbitLong/RepDistiller, computed with its own code.

Every network had the weights and buffers of `weights_by_name` under its own names, and ran on `IMAGE`, in eval mode.
"""

import hashlib
import re
from math import prod
from typing import NamedTuple
from zlib import crc32

import torch


class Published(NamedTuple):
    """One network at 100 classes.

    Attributes:
        name: ours.
        kwargs: of ours, to match theirs.
        parameters: their number.
        digest: of the names and shapes of its state dict, as `digest` makes it.
        logits: the first three.
        names: regular expression of our part of a name → theirs.
    """

    name: str
    kwargs: dict[str, str]
    parameters: int
    digest: str
    logits: tuple[float, float, float]
    names: dict[str, str]


WAVE = torch.sin(torch.arange(1009, dtype=torch.float64))
IMAGE = WAVE.repeat(4)[: 3 * 32 * 32].view(1, 3, 32, 32).float()


def digest(shapes):
    """Sixteen hexadecimal digits of name and shape of every tensor, sorted by name."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def weights_by_name(shapes):
    """A state dict that depends on names and shapes alone, on a scale at which activations neither vanish nor grow."""
    return {name: _filled(name, shape) for name, shape in shapes.items()}


def published_shapes(network, names):
    """Name and shape of every tensor of a network of ours, under their names."""
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    for ours, theirs in names.items():
        shapes = {re.sub(ours, theirs, name): shape for name, shape in shapes.items()}
    return shapes


def _filled(name, shape):
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    count = prod(shape)
    wave = WAVE.roll(crc32(name.encode()) % 1009).repeat(count // 1009 + 1)[:count].view(shape)
    if len(shape) > 1:
        wave = wave * (4 / prod(shape[1:])) ** 0.5
    elif name.endswith(("running_var", "weight")):
        wave = 1 + 0.3 * wave
    else:
        wave = 0.1 * wave
    return wave.float()


PROJECTION = {"shortcut": "projection"}
WIDE = {r"^(block\d)\.": r"\1.layer.", r"\.shortcut\.": ".convShortcut."}
LINEAR = {r"^fc\.": "linear."}

NETWORKS = [
    Published("resnet8", PROJECTION, 83_892, "99cb0c0b2ea3c613", (-0.21763, -0.13458, 0.0947), {}),
    Published("resnet14", PROJECTION, 181_108, "629933907d5744ff", (-0.02541, -1.0092, -0.78296), {}),
    Published("resnet20", PROJECTION, 278_324, "0386434ca6f34c26", (0.51673, -0.92705, -1.2607), {}),
    Published("resnet32", PROJECTION, 472_756, "9e5592f61f0020a8", (-1.3874, -2.207, -0.35967), {}),
    Published("resnet44", PROJECTION, 667_188, "df3dce284c7a26b4", (-2.5507, -1.2984, 1.5157), {}),
    Published("resnet56", PROJECTION, 861_620, "fa692cabb2e3a217", (-5.7533, -3.7562, 2.792), {}),
    Published("resnet110", PROJECTION, 1_736_564, "9ca5a9542fb3a343", (-111.69, -28.631, 89.234), {}),
    Published("resnet8x4", {}, 1_233_540, "b2ead61a142ef3af", (1.2053, -1.504, -1.1538), {}),
    Published("resnet32x4", {}, 7_433_860, "99154b2aea1aeb59", (4.246, 0.51945, -4.3555), {}),
    Published("wrn_16_1", {}, 180_916, "b4de1d786e12f08a", (0.2663, 0.8836, 0.40874), WIDE),
    Published("wrn_16_2", {}, 703_284, "2266f04469bf5dd9", (0.10315, 0.82721, -1.3945), WIDE),
    Published("wrn_40_1", {}, 569_780, "01abc5646d8c075c", (1.8739, 2.7664, 0.27666), WIDE),
    Published("wrn_40_2", {}, 2_255_156, "595ec0db20d1ca1c", (0.10299, 0.9727, -1.5959), WIDE),
    Published("vgg8", {}, 3_965_028, "7f85b8479109415f", (2.8358, 1.2536, -1.5681), {r"^fc\.": "classifier."}),
    Published("vgg13", {}, 9_462_180, "5778ceb5832ef6a7", (-1.1771, -0.71535, 0.60346), {r"^fc\.": "classifier."}),
    Published(
        "mobilenetv2_half", {}, 812_836, "54501c9a7e317631", (-2.793, 0.0055367, 5.02), {r"^fc\.": "classifier.0."}
    ),
    Published("shufflenetv1", {}, 949_258, "1282e767b3e9c6cd", (-9.5052, -2.4445, -5.8027), LINEAR),
    Published("shufflenetv2", {}, 1_355_528, "9b7750ae03289b13", (0.54946, -1.3377, 1.7056), LINEAR),
    Published(
        "resnet50_cifar",
        {},
        23_705_252,
        "d5367c1bcc2c22ea",
        (-308.32, 865.72, 531.4),
        {**LINEAR, r"\.downsample\.": ".shortcut."},
    ),
]

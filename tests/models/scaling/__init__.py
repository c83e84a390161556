"""Networks of the families that can be scaled, for the tests here."""

import torch

from kdlab.models.build import build_network


def settings(name, source="cifar", **kwargs):
    return {"source": source, "name": name, "kwargs": kwargs, "taps": {}}


def built(network):
    return build_network(**{key: network[key] for key in ("source", "name", "kwargs")}, num_classes=10)


def parameters(network):
    """As the network has them when it is really built."""
    return sum(parameter.numel() for parameter in built(network).parameters())


def operations(network, side=32):
    """By torch's own counter, of the network as it is really built."""
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        built(network).eval()(torch.zeros(1, 3, side, side))
    return counter.get_total_flops()


SMALL_VIT = settings("vit_tiny_patch16_224", "timm", img_size=32, patch_size=4)
FAMILIES = [
    settings("mobilenetv2_half"),
    settings("shufflenetv1"),
    settings("shufflenetv2"),
    settings("vgg8"),
    settings("vgg13"),
    settings("small_cnn"),
    settings("resnet50_cifar"),
    settings("resnet56"),
    settings("wrn_40_2"),
    settings("mobilenetv3_small_100", "timm"),
    settings("mobilenetv2_100", "timm"),
    settings("lcnet_050", "timm"),
    SMALL_VIT,
    settings("convnext_atto", "timm"),
    settings("resnet18", "timm"),
    settings("mobilenet_v2", "torchvision"),
    settings("mobilenet_v3_small", "torchvision"),
    settings("shufflenet_v2_x0_5", "torchvision"),
]
"""One network of each."""


def named(network):
    return f"{network['name']} of {network['source']}"

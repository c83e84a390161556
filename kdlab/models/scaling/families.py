"""Which family a network is of."""

from collections.abc import Callable, Iterator

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.mobilenet import MobileNetV2
from kdlab.models.resnet import ResNet
from kdlab.models.resnet50 import ResNet50
from kdlab.models.scaling import mobile, plain, residual, timm, torchvision
from kdlab.models.scaling.family import EARLIER_TOLERANCE, Depth, Family, Settings
from kdlab.models.scaling.measures import bare_network
from kdlab.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from kdlab.models.small_cnn import SmallCNN
from kdlab.models.vgg import VGG
from kdlab.models.wide_resnet import WideResNet

OWN: dict[type[nn.Module], Callable[[Settings], Iterator[Depth]]] = {
    MobileNetV2: mobile.mobilenets,
    ResNet: residual.resnets,
    ResNet50: residual.bottleneck_resnets,
    ShuffleNetV1: mobile.shufflenets_v1,
    ShuffleNetV2: mobile.shufflenets_v2,
    SmallCNN: plain.small_cnns,
    VGG: plain.vggs,
    WideResNet: residual.wide_resnets,
}
LIBRARIES = {"timm": timm.family_of, "torchvision": torchvision.family_of}


def family_of(settings: Settings, network: nn.Module, setting: str) -> Family:
    """The family of a network.

    Args:
        settings: of the network.
        network: built from them, on any device.
        setting: its config node, for the message.

    Raises:
        BadInput: no family that can be scaled.
    """
    depths = next((depths for kind, depths in OWN.items() if isinstance(network, kind)), None)
    if depths:
        return Family(depths(settings), EARLIER_TOLERANCE if isinstance(network, ResNet | WideResNet) else None)
    find = LIBRARIES.get(settings["source"])
    if find and (family := find(settings, network)):
        return family
    raise BadInput(
        f"{setting} must be of a family that can be scaled (any network of source cifar; of timm a ResNet without "
        "groups, a ViT, a ConvNeXt, or an EfficientNet-style network such as mobilenetv3_small_100; of torchvision a "
        f"MobileNet or shufflenet_v2), got {settings['name']} of {settings['source']}. plan=assistant chains networks "
        "of any kind that plan.assistants lists."
    )


def is_of_family(settings: Settings, other: Settings, num_classes: int) -> bool:
    """Whether two networks are of one class, such as ResNets of any depth and width."""
    one, two = (bare_network(each, num_classes, "model") for each in (settings, other))
    return type(one) is type(two)

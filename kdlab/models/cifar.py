"""The CIFAR networks of the distillation benchmarks, under the names that the papers use.

The benchmark is that of RepDistiller (Tian et al., "Contrastive Representation Distillation", ICLR 2020,
arXiv:1910.10699): these networks have the same parameters, and load its state dicts. Its ResNets have
`shortcut="projection"`; the `x4` networks are four times as wide.
"""

from functools import partial

from kdlab.models.mobilenet import MobileNetV2
from kdlab.models.resnet import ResNet
from kdlab.models.resnet50 import ResNet50
from kdlab.models.shufflenet import ShuffleNetV1, ShuffleNetV2
from kdlab.models.small_cnn import SmallCNN
from kdlab.models.vgg import VGG
from kdlab.models.wide_resnet import WideResNet

__all__ = [
    "mobilenetv2_half",
    "resnet8",
    "resnet8x4",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet32x4",
    "resnet44",
    "resnet50_cifar",
    "resnet56",
    "resnet110",
    "shufflenetv1",
    "shufflenetv2",
    "small_cnn",
    "vgg8",
    "vgg13",
    "wrn",
    "wrn_16_1",
    "wrn_16_2",
    "wrn_40_1",
    "wrn_40_2",
]

# Parameters at 10 classes, `pad` shortcuts (`projection` for the x4 networks).
resnet8 = partial(ResNet, 8)  # 75,290
resnet14 = partial(ResNet, 14)  # 172,506
resnet20 = partial(ResNet, 20)  # 269,722
resnet32 = partial(ResNet, 32)  # 464,154
resnet44 = partial(ResNet, 44)  # 658,586
resnet56 = partial(ResNet, 56)  # 853,018
resnet110 = partial(ResNet, 110)  # 1,727,962
resnet8x4 = partial(ResNet, 8, widths=(32, 64, 128, 256), shortcut="projection")  # 1,210,410
resnet32x4 = partial(ResNet, 32, widths=(32, 64, 128, 256), shortcut="projection")  # 7,410,730
small_cnn = SmallCNN  # 545,098

# Parameters at 100 classes, as in RepDistiller.
wrn = WideResNet
wrn_16_1 = partial(WideResNet, depth=16, width=1)  # 180,916
wrn_16_2 = partial(WideResNet, depth=16, width=2)  # 703,284
wrn_40_1 = partial(WideResNet, depth=40, width=1)  # 569,780
wrn_40_2 = partial(WideResNet, depth=40, width=2)  # 2,255,156
vgg8 = partial(VGG, widths=((64,), (128,), (256,), (512,), (512,)))  # 3,965,028
vgg13 = partial(VGG, widths=((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)))  # 9,462,180
mobilenetv2_half = partial(MobileNetV2, width=0.5)  # 812,836
shufflenetv1 = ShuffleNetV1  # 949,258
shufflenetv2 = ShuffleNetV2  # 1,355,528
resnet50_cifar = ResNet50  # 23,705,252

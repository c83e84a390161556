"""Networks of torchvision."""

from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.spec import NetworkSpec, create, unknown_name

SHUFFLENET = ("stages_repeats", "stages_out_channels")  # arguments that torchvision fixes by name


def make(spec: NetworkSpec) -> nn.Module:
    import torchvision.models as zoo

    names = zoo.list_models(module=zoo)
    if spec.name not in names:
        raise unknown_name(spec, names)
    if any(name in spec.kwargs for name in SHUFFLENET):
        return _shufflenet(spec, zoo)
    options = {"weights": "DEFAULT"} if spec.pretrained else {"num_classes": spec.num_classes}
    network: nn.Module = create(zoo.get_model, spec, **options)
    published = pretrained_classes(spec.name)
    if not spec.pretrained or published == spec.num_classes:
        return network
    return _with_head(network, published, spec.num_classes)


def pretrained_classes(name: str) -> int | None:
    """How many classes the published weights predict, without downloading them; None where there are none."""
    import torchvision.models as zoo

    known = name in zoo.list_models(module=zoo)
    return len(zoo.get_model_weights(name).DEFAULT.meta["categories"]) if known else None


def _shufflenet(spec: NetworkSpec, zoo: Any) -> nn.Module:
    """A ShuffleNetV2 of any width: torchvision's class takes what its named functions fix."""
    missing = [name for name in SHUFFLENET if name not in spec.kwargs]
    if missing or spec.pretrained or not spec.name.startswith("shufflenet_v2"):
        raise BadInput(
            f"{spec.setting}.kwargs: {' and '.join(SHUFFLENET)} belong together, to a shufflenet_v2 without published "
            f"weights; got {spec.kwargs} for {spec.name} with pretrained={spec.pretrained}"
        )
    network: nn.Module = create(lambda name, **kwargs: zoo.ShuffleNetV2(**kwargs), spec, num_classes=spec.num_classes)
    return network


def _with_head(network: nn.Module, published: int | None, num_classes: int) -> nn.Module:
    """Replace the last layer that predicts the published classes by a new one."""
    sizes = {path: _outputs(layer) for path, layer in network.named_modules()}
    path = [path for path, size in sizes.items() if size == published][-1]
    old = network.get_submodule(path)
    if isinstance(old, nn.Conv2d):
        network.set_submodule(path, nn.Conv2d(old.in_channels, num_classes, 1))
    elif isinstance(old, nn.Linear):
        network.set_submodule(path, nn.Linear(old.in_features, num_classes))
    return network


def _outputs(layer: nn.Module) -> int | None:
    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if isinstance(layer, nn.Conv2d) else None

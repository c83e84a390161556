"""Networks of torchvision."""

from torch import nn

from kdlab.models.sources.wanted import Wanted, create, unknown_name


def make(wanted: Wanted) -> nn.Module:
    import torchvision.models as zoo

    names = zoo.list_models(module=zoo)
    if wanted.name not in names:
        raise unknown_name(wanted, names)
    chosen = {"weights": "DEFAULT"} if wanted.pretrained else {"num_classes": wanted.num_classes}
    network: nn.Module = create(zoo.get_model, wanted, **chosen)
    published = pretrained_classes(wanted.name)
    if not wanted.pretrained or published == wanted.num_classes:
        return network
    return _with_head(network, published, wanted.num_classes)


def pretrained_classes(name: str) -> int | None:
    """How many classes the published weights predict, without fetching them; None where there are none."""
    import torchvision.models as zoo

    known = name in zoo.list_models(module=zoo)
    return len(zoo.get_model_weights(name).DEFAULT.meta["categories"]) if known else None


def _with_head(network: nn.Module, published: int | None, num_classes: int) -> nn.Module:
    """Put a new layer in the place of the last one that predicts the published classes."""
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

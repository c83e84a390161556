"""Networks of timm."""

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.wanted import Wanted, closest, create, unknown_name


def make(wanted: Wanted) -> nn.Module:
    import timm

    elsewhere = ":" in wanted.name  # hf-hub:owner/name, local-dir:path
    if not elsewhere and not _has(wanted.name):
        raise unknown_name(wanted, [*timm.list_models(), *timm.list_pretrained()])
    if wanted.pretrained and not elsewhere and pretrained_classes(wanted.name) is None:
        raise BadInput(
            f"{wanted.setting}.pretrained: timm publishes no weights for {wanted.name!r}, got true; set it "
            f"to false, or choose a published one; closest: {closest(wanted.name, timm.list_pretrained())}"
        )
    chosen = {"pretrained": wanted.pretrained, "num_classes": wanted.num_classes}
    network: nn.Module = create(timm.create_model, wanted, **chosen)
    return network


def pretrained_classes(name: str) -> int | None:
    """How many classes the published weights predict, without fetching them; None where there are none."""
    import timm

    config = timm.get_pretrained_cfg(name) if _has(name) else None
    return config.num_classes if config and config.has_weights else None


def _has(name: str) -> bool:
    import timm

    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())

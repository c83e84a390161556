"""Networks of timm."""

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.spec import NetworkSpec, closest, create, unknown_name


def make(spec: NetworkSpec) -> nn.Module:
    import timm

    external = ":" in spec.name  # hf-hub:owner/name, local-dir:path
    if not external and not _has(spec.name):
        raise unknown_name(spec, [*timm.list_models(), *timm.list_pretrained()])
    if spec.pretrained and not external and pretrained_classes(spec.name) is None:
        raise BadInput(
            f"{spec.setting}.pretrained: timm publishes no weights for {spec.name!r}, got true; set it "
            f"to false, or choose a published one; closest: {closest(spec.name, timm.list_pretrained())}"
        )
    options = {"pretrained": spec.pretrained, "num_classes": spec.num_classes}
    network: nn.Module = create(timm.create_model, spec, **options)
    return network


def pretrained_classes(name: str) -> int | None:
    """How many classes the published weights predict, without downloading them; None where there are none."""
    import timm

    config = timm.get_pretrained_cfg(name) if _has(name) else None
    return config.num_classes if config and config.has_weights else None


def _has(name: str) -> bool:
    import timm

    return timm.is_model(name) and ("." not in name or name in timm.list_pretrained())

"""Networks of transformers."""

import importlib
from dataclasses import replace
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.spec import NetworkSpec, create


def make(spec: NetworkSpec) -> nn.Module:
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise BadInput(
            f"{spec.setting}.source: 'huggingface' needs the package transformers, which is not installed; "
            "pip install 'kdlab[huggingface]', or choose another source"
        ) from error
    config = _config(spec, library)
    config.update({**spec.kwargs, "num_labels": spec.num_classes})
    classifier = library.AutoModelForImageClassification
    plain = replace(spec, kwargs={})
    network: nn.Module = (
        create(classifier.from_pretrained, plain, config=config, ignore_mismatched_sizes=True)
        if spec.pretrained
        else classifier.from_config(config)
    )
    return network


def _config(spec: NetworkSpec, library: Any) -> Any:
    architecture = not spec.pretrained and spec.name in library.CONFIG_MAPPING
    make = library.AutoConfig.for_model if architecture else library.AutoConfig.from_pretrained
    config = create(make, replace(spec, kwargs={}))
    if type(config) not in library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise BadInput(
            f"{spec.setting}.name: an image classifier is needed, got {spec.name!r}, a "
            f"{config.model_type}; choose a vision architecture, such as vit"
        )
    accepted = sorted({*config.to_dict(), *config.attribute_map})
    if unknown := sorted(set(spec.kwargs) - set(accepted)):
        raise BadInput(
            f"{spec.setting}.kwargs: {spec.name} has no {', '.join(unknown)}; accepted: {', '.join(accepted)}"
        )
    return config

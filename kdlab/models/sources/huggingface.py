"""Networks of transformers."""

import importlib
from dataclasses import replace
from typing import Any

from torch import nn

from kdlab.errors import BadInput
from kdlab.models.sources.wanted import Wanted, create


def make(wanted: Wanted) -> nn.Module:
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise BadInput(
            f"{wanted.setting}.source: 'huggingface' needs the package transformers, which is not installed; "
            "pip install 'kdlab[huggingface]', or choose another source"
        ) from error
    config = _config(wanted, library)
    config.update({**wanted.kwargs, "num_labels": wanted.num_classes})
    classifier = library.AutoModelForImageClassification
    plain = replace(wanted, kwargs={})
    network: nn.Module = (
        create(classifier.from_pretrained, plain, config=config, ignore_mismatched_sizes=True)
        if wanted.pretrained
        else classifier.from_config(config)
    )
    return network


def _config(wanted: Wanted, library: Any) -> Any:
    architecture = not wanted.pretrained and wanted.name in library.CONFIG_MAPPING
    make = library.AutoConfig.for_model if architecture else library.AutoConfig.from_pretrained
    config = create(make, replace(wanted, kwargs={}))
    if type(config) not in library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise BadInput(
            f"{wanted.setting}.name: an image classifier is needed, got {wanted.name!r}, a "
            f"{config.model_type}; choose a vision architecture, such as vit"
        )
    accepted = sorted({*config.to_dict(), *config.attribute_map})
    if unknown := sorted(set(wanted.kwargs) - set(accepted)):
        raise BadInput(
            f"{wanted.setting}.kwargs: {wanted.name} has no {', '.join(unknown)}; accepted: {', '.join(accepted)}"
        )
    return config

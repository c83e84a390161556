"""Versions of what can change a result: a finished stage is reused as long as those that it runs stay the same."""

from collections.abc import Iterable
from functools import partial
from inspect import isclass
from types import ModuleType

VERSIONS: dict[str, int] = {
    # Parts that many stages run.
    "training": 1,  # the loop: seeds, initial weights, steps, weights of terms, gathering over ranks, recipe
    "evaluation": 1,  # predictions and every figure in a stage's result.json
    "networks": 1,  # preprocessing, weights from a file, heads for other classes, features as maps
    "views": 1,  # splits, order of samples, crops and mirror images, resizing
    "augmentation": 1,  # mixed images, RandAugment
    "adapters": 1,  # layers between features of unequal shape
    "teachers": 1,  # frozen networks: folding, precision, truncated forward
    "pruning": 1,  # which channels or weights are removed, and the statistics of norms after it
    "quantisation": 1,  # where and how weights and activations are rounded, and their first ranges
    "cache": 1,  # the stored outputs of teachers, and how they are computed
    # Data sets.
    "data.digits": 1,
    "data.folder": 1,
    "data.npz": 1,
    "data.published": 1,
    "data.transfer": 1,
    # Families of networks.
    "models.mobilenet": 1,
    "models.resnet": 1,
    "models.resnet50": 1,
    "models.shufflenet": 1,
    "models.small_cnn": 1,
    "models.vgg": 1,
    "models.wide_resnet": 1,
    # Losses.
    "losses.attention": 1,
    "losses.born_again": 1,
    "losses.correlation": 1,
    "losses.crd": 1,
    "losses.dist": 1,
    "losses.dkd": 1,
    "losses.factor": 1,
    "losses.feature": 1,
    "losses.fsp": 1,
    "losses.jsd": 1,
    "losses.labels": 1,
    "losses.logit_standard": 1,
    "losses.nst": 1,
    "losses.pkt": 1,
    "losses.relation": 1,
    "losses.response": 1,
    "losses.review": 1,
    "losses.similarity": 1,
    "losses.vid": 1,
    # Methods.
    "methods.attention_transfer": 1,
    "methods.born_again": 1,
    "methods.feature": 1,
    "methods.mutual_learning": 1,
    "methods.progressive": 1,
    "methods.self_distillation": 1,
    "methods.soft_targets": 1,
    "methods.teacher_student": 1,
}
"""By component; raised by hand when its results change, and never for a message, a name or a faster way to the same.
A new loss, method, data set or family of networks need not be listed: it is at version 1.

Whoever raises one retrains the stages that run it, of every user. `tests/recorded` holds results of each component at
its version: a change of results without a new version fails there.
"""


FAMILIES = ("data", "losses", "methods", "models")  # packages whose modules are components of their own
PART_OF = {
    "data.base": "views",
    "data.memory": "views",
    "data.module": "views",
    "losses.hint": "losses.feature",
    "losses.standardised_kd": "losses.logit_standard",
    "methods.base": "training",
    "methods.mean_teacher": "methods.self_distillation",
    "models.network": "networks",
    "teachers.moving_average": "methods.self_distillation",
    "teachers.peer": "methods.mutual_learning",
}
"""Modules that others build on, and the shared component that each is part of; renamed ones, and their first name."""
FIRST_NAMES = {"kdlab.methods.MeanTeacher": "kdlab.methods.SelfDistillation"}
"""Renamed classes, and the name that fingerprints of finished stages have for each."""


def component(module: str) -> str | None:
    """The component that a module of kdlab's is, or is part of; None where it has no version.

    What lies in `kdlab/losses/…/dkd.py` belongs to `losses.dkd`, whatever lies between: files may move.
    """
    package, *inner = module.split(".")
    if package != "kdlab" or not inner:
        return None
    name = f"{inner[0]}.{inner[-1]}"
    names = (PART_OF.get(name, name), inner[-1], inner[0])
    unlisted = name if inner[0] in FAMILIES and len(inner) > 1 else None
    return next((name for name in names if name in VERSIONS), unlisted)


def components(thing: object) -> set[str]:
    """The components of kdlab's that a class, a function or a module is, or is made from.

    A class belongs to the components of all classes that it extends, a package to all that are in it. A helper without
    a version counts with those that use it.

    Args:
        thing: of kdlab's, or of anyone's: other things have no components.
    """
    if isinstance(thing, partial):
        return components(thing.func)
    if isinstance(thing, ModuleType):
        package = f"{thing.__name__.removeprefix('kdlab.')}."
        inside = [name for name in VERSIONS if name.startswith(package)]
        modules = [thing.__name__, *(f"kdlab.{name}" for name in inside if thing.__name__.startswith("kdlab."))]
    else:
        modules = [getattr(kind, "__module__", None) or "" for kind in (thing.__mro__ if isclass(thing) else (thing,))]
    return {name for name in map(component, modules) if name}


def versions(names: Iterable[str]) -> dict[str, int]:
    """The versions of components, by name."""
    return {name: VERSIONS.get(name, 1) for name in sorted(set(names))}

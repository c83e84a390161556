"""Teacher assistants: networks of intermediate size bridge a large gap between teacher and student.

Mirzadeh, Farajtabar, Li, Levine, Matsukawa & Ghasemzadeh, "Improved Knowledge Distillation via Teacher Assistant",
AAAI 2020 (arXiv:1902.03393).
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.plans.cascade import NetworkSpec, cascade, scaled_spec
from kdlab.jobs.stages import NETWORK, class_count, network_settings, untrained
from kdlab.models.scaling import count_parameters
from kdlab.settings.numbers import is_number
from kdlab.settings.targets import check_known

EXAMPLE = "For example plan.assistants=[resnet32,resnet14], or [0.5] for a scaled one half way"


def assistant(cfg: DictConfig, networks: Networks) -> Plan:
    """The teacher, each of `plan.assistants` in order, and `model.student`.

    An assistant given as a number is a scaled network of the teacher's family. The number is its position between the
    teacher's size (0) and the student's (1), on a logarithmic scale of parameters. The default is one at 0.5.
    """
    student, listed = network_settings(cfg.model.student), cfg.plan.assistants
    if not OmegaConf.is_list(listed):
        raise BadInput(
            f"plan.assistants must list networks between teacher and student, largest first, got {listed}. {EXAMPLE}."
        )
    entries: list[Any] = OmegaConf.to_container(listed, resolve=True) or [0.5]  # type: ignore[assignment]
    specs = [_spec(cfg, networks, student, entry, f"plan.assistants[{index}]") for index, entry in enumerate(entries)]
    return cascade(cfg, [*specs, NetworkSpec(student, "model.student")], "fewer plan.assistants")


def _spec(cfg: DictConfig, networks: Networks, student: Mapping[str, Any], entry: Any, setting: str) -> NetworkSpec:
    if is_number(entry):
        return _scaled(cfg, student, entry, setting)
    return NetworkSpec(untrained(student, **_network(setting, entry, networks)), setting)


def _scaled(cfg: DictConfig, student: Mapping[str, Any], position: float, setting: str) -> NetworkSpec:
    if not 0 < position < 1:
        raise BadInput(
            f"{setting} must lie between 0 (as large as the teacher) and 1 (as the student), got {position}. {EXAMPLE}."
        )
    teacher, classes = network_settings(cfg.model.teacher), class_count(cfg)
    sizes = count_parameters(teacher, classes, "model.teacher"), count_parameters(student, classes, "model.student")
    target = round(sizes[0] ** (1 - position) * sizes[1] ** position)
    return replace(scaled_spec(teacher, student, classes, target, f"{setting}: model.teacher"), setting=setting)


def _network(setting: str, entry: Any, options: Networks) -> Mapping[str, Any]:
    """The settings of an assistant that is given as an option of `conf/network`, or in full."""
    if isinstance(entry, dict):
        check_known(setting, entry, NETWORK)
        if "source" in entry and "name" in entry:
            return {"kwargs": {}, "taps": {}, **entry}
        raise BadInput(f"{setting} must have a source and a name, got {entry}. {EXAMPLE}.")
    if entry in options:
        return options[entry]
    close = get_close_matches(str(entry), options, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(options))}."
    raise BadInput(f"{setting} must name an option of conf/network, got {entry!r}. {hint}")

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
from kdlab.jobs.plans.cascade import NetworkSpec, Sizes, cascade, scaled_spec
from kdlab.jobs.plans.chain import chain
from kdlab.jobs.stages import NETWORK, network_settings, untrained
from kdlab.settings.numbers import is_number
from kdlab.settings.targets import check_known

EXAMPLE = "For example plan.assistants=[resnet32,resnet14], or [0.5] for a scaled one half way"


def assistant(cfg: DictConfig, networks: Networks) -> Plan:
    """The teacher, each of `plan.assistants` in order, and `model.student`.

    An assistant given as a number is a scaled network of the teacher's family. The number is its position between the
    teacher's size (0) and the student's (1), on a logarithmic scale of `plan.by`. The default is one at 0.5. With
    `plan.max_ratio` the assistants follow from that rule instead.

    Raises:
        BadInput: an assistant that is no network, both settings at once, or a rule that no chain can keep.
    """
    listed, ratio = cfg.plan.assistants, cfg.plan.get("max_ratio")
    if not OmegaConf.is_list(listed):
        raise BadInput(
            f"plan.assistants must list networks between teacher and student, largest first, got {listed}. {EXAMPLE}."
        )
    entries: list[Any] = OmegaConf.to_container(listed, resolve=True)  # type: ignore[assignment]
    student = NetworkSpec(network_settings(cfg.model.student), "model.student")
    if ratio is None:
        return cascade(cfg, [*_listed(cfg, networks, entries or [0.5]), student], "fewer plan.assistants")
    if entries:
        raise BadInput(
            f"plan.max_ratio chooses the assistants, got {ratio} beside plan.assistants={entries}. Leave one of them "
            "out."
        )
    between, remark = chain(cfg, networks, ratio)
    return replace(cascade(cfg, [*between, student], "a larger plan.max_ratio"), remarks=(remark,))


def _listed(cfg: DictConfig, networks: Networks, entries: list[Any]) -> list[NetworkSpec]:
    """The networks that `plan.assistants` lists."""
    student = network_settings(cfg.model.student)
    specs = []
    for index, entry in enumerate(entries):
        setting = f"plan.assistants[{index}]"
        if is_number(entry):
            specs.append(_scaled(cfg, student, entry, setting))
        else:
            specs.append(NetworkSpec(untrained(student, **_network(setting, entry, networks)), setting))
    return specs


def _scaled(cfg: DictConfig, student: Mapping[str, Any], position: float, setting: str) -> NetworkSpec:
    if not 0 < position < 1:
        raise BadInput(
            f"{setting} must lie between 0 (as large as the teacher) and 1 (as the student), got {position}. {EXAMPLE}."
        )
    teacher, size = network_settings(cfg.model.teacher), Sizes.of(cfg)
    sizes = size(teacher, "model.teacher"), size(student, "model.student")
    target = size.rounded(sizes[0] ** (1 - position) * sizes[1] ** position)
    spec = scaled_spec(teacher, student, target, size, setting=f"{setting}: model.teacher")
    return replace(spec, setting=setting)


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

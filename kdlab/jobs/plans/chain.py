"""The assistants that a rule asks for: no network of the chain is more than `plan.max_ratio` times smaller."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput, KdlabError
from kdlab.jobs.plan import Networks
from kdlab.jobs.plans.cascade import NetworkSpec, Sizes, scaled_spec
from kdlab.jobs.stages import network_settings, untrained
from kdlab.models.scaling import TOLERANCE, is_of_family
from kdlab.settings.numbers import is_number

MAX_ASSISTANTS = 30
SLACK = 1 + 1e-9  # of ratios, for rounding


def chain(cfg: DictConfig, options: Networks, ratio: Any) -> tuple[list[NetworkSpec], str]:
    """The fewest networks between teacher and student that keep the rule, and a remark that names them.

    They are options of `conf/network` of the teacher's family where some fit, the most even ones on a logarithmic
    scale; otherwise the teacher's network is scaled.

    Args:
        cfg: config of the run.
        options: the options of `conf/network`, by name.
        ratio: `plan.max_ratio`.

    Raises:
        BadInput: no number above 1, or a rule that no chain keeps.
    """
    if not is_number(ratio) or not 1 < ratio < math.inf:
        raise BadInput(
            f"plan.max_ratio must be a number above 1 (how much smaller than its teacher each network may be), got "
            f"{ratio!r}. For example plan.max_ratio=4."
        )
    gap = _Gap(network_settings(cfg.model.teacher), network_settings(cfg.model.student), Sizes.of(cfg))
    step = f"a step of {gap.steps([])[0]:.1f}×"
    if gap.keeps([], ratio):
        return [], f"plan.max_ratio={ratio:g} needs no assistant: the plan is {step} from teacher to student."
    known = list(gap.known(options))
    for count in range(gap.fewest(ratio), MAX_ASSISTANTS + 1):
        even = min(combinations(known, count), key=gap.steps, default=())
        links = even if even and gap.keeps(even, ratio) else gap.scaled(count)
        if gap.keeps(links, ratio):
            names = " → ".join(f"{link.name} ({gap.sizes.measure.show(link.size)})" for link in links)
            return [link.spec for link in links], f"plan.max_ratio={ratio:g} puts {names} into {step}."
    raise BadInput(
        f"plan.max_ratio: no chain of {MAX_ASSISTANTS} assistants or fewer has smaller steps from "
        f"{gap.teacher['name']} to {gap.student['name']}, got {ratio}. Set a larger one, or list plan.assistants."
    )


@dataclass(frozen=True)
class _Link:
    """A network between teacher and student, its size, and its name for the remark."""

    spec: NetworkSpec
    size: float
    name: str


@dataclass(frozen=True)
class _Gap:
    """From the network of the teacher to that of the student."""

    teacher: Mapping[str, Any]
    student: Mapping[str, Any]
    sizes: Sizes

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Their sizes."""
        return self.sizes(self.teacher, "model.teacher"), self.sizes(self.student, "model.student")

    def steps(self, links: Sequence[_Link]) -> list[float]:
        """The ratios of neighbours when these networks, largest first, lie between both; the largest ratio first."""
        chain_sizes = [self.ends[0], *(link.size for link in links), self.ends[1]]
        return sorted((larger / smaller for larger, smaller in pairwise(chain_sizes)), reverse=True)

    def keeps(self, links: Sequence[_Link], ratio: float) -> bool:
        """Whether no step is larger than a ratio."""
        return self.steps(links)[0] <= ratio * SLACK

    def fewest(self, ratio: float) -> int:
        """Networks in between that even steps of this ratio need."""
        return math.ceil(math.log(self.ends[0] / self.ends[1]) / math.log(ratio * SLACK)) - 1

    def known(self, options: Networks) -> Iterator[_Link]:
        """The options of the teacher's family whose size lies between both ends, largest first."""
        found = []
        for name, option in options.items():
            network = untrained(self.student, **option)
            if option["source"] == self.teacher["source"] and self._is_relative(network):
                found.append(_Link(NetworkSpec(network, f"conf/network/{name}.yaml"), self.sizes(network, name), name))
        between = (link for link in found if self.ends[1] < link.size < self.ends[0])
        yield from sorted(between, key=lambda link: -link.size)

    def scaled(self, count: int) -> Sequence[_Link]:
        """So many networks of the teacher's family, scaled to even steps."""
        links = []
        for number in range(1, count + 1):
            share = number / (count + 1)
            target = self.sizes.rounded(self.ends[0] ** (1 - share) * self.ends[1] ** share)
            options: dict[str, Any] = {"setting": "plan.max_ratio: model.teacher", "tolerance": TOLERANCE}
            spec = scaled_spec(self.teacher, self.student, target, self.sizes, **options)
            links.append(_Link(spec, self.sizes(spec.network, spec.setting), f"a scaled {spec.network['name']}"))
        return links

    def _is_relative(self, network: Mapping[str, Any]) -> bool:
        try:
            return is_of_family(network, self.teacher, self.sizes.classes)
        except (KdlabError, RuntimeError, TypeError, ValueError):
            return False  # a user's network that cannot be built on the meta device

"""Self-distillation: a slow average of the student is its own teacher."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kdlab.data.batch import Batch
from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent
from kdlab.methods.terms import Answer, Facts
from kdlab.models.network import Network
from kdlab.models.taps import Taps, observe
from kdlab.settings.numbers import is_fraction


class SelfDistillation(TeacherStudent):
    """Learns from the exponential moving average of its own weights (Mean Teacher, arXiv:1703.01780).

    The average is in the checkpoint, since resuming needs it, and takes no gradient. Its BatchNorm statistics are the
    student's.

    Args:
        terms: see `Distiller`; what they read of a teacher, the average says.
        temperature: above 0.
        alpha: in [0, 1], the weight of the average's term.
        decay: in [0, 1), of the average per step.

    Raises:
        BadInput: a value is out of its range.
    """

    def __init__(
        self, terms: Mapping[str, Mapping[str, Any]], temperature: float, alpha: float, decay: float = 0.99
    ) -> None:
        if not is_fraction(decay) or decay == 1:
            raise BadInput(f"loss.decay must lie in [0, 1), got {decay!r}. For example loss.decay=0.99.")
        super().__init__(terms, temperature, alpha)
        self.decay = decay

    @property
    def needs_teacher(self) -> bool:
        """No network but the student is needed."""
        return False

    @property
    def roles(self) -> list[str]:
        """Also those that the average is asked for."""
        return list(dict.fromkeys([*super().roles, *super().teacher_roles]))

    def build_terms(self, facts: Facts, seed: int = 0) -> None:
        """The teacher's features have the student's shapes."""
        super().build_terms(replace(facts, teachers=[facts.student]), seed)

    def prepare(self, student: Network, *args: Any, taps: Mapping[str, str] | None = None, **rest: Any) -> None:
        """Copies the student before any tap is on it."""
        move = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(student, multi_avg_fn=move).requires_grad_(False)
        self._average_taps = Taps(self.average.module, {role: (taps or {})[role] for role in self.teacher_roles})
        super().prepare(student, *args, taps=taps, **rest)

    @torch.no_grad()
    def answers(self, batch: Batch) -> list[Answer]:
        """What the average says."""
        network = self.average.module.eval()
        return [(self.task.aligned(observe(network, self._average_taps, batch.inputs), batch.targets), 1.0)]

    def optimizer_step(self, *args: Any, **rest: Any) -> None:
        """Moves the average after each step of the student, before anything can be saved."""
        super().optimizer_step(*args, **rest)
        self.average.update_parameters(self.student)

    def companions(self) -> dict[str, Network]:
        """The average, a network in its own right."""
        return {"average": cast(Network, self.average.module)}

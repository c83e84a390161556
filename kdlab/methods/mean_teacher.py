"""Mean teacher: an exponential moving average of the student is its teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.methods.terms import BuildContext
from kdlab.models.network import Network
from kdlab.settings.numbers import is_fraction
from kdlab.teachers.moving_average import MovingAverage
from kdlab.teachers.protocol import Teacher

WARMUP = 5  # epochs: at first the average is little better than the student


class MeanTeacher(TeacherStudent):
    """Distils from the exponential moving average of the student's weights (Mean Teacher, arXiv:1703.01780).

    Args:
        temperature: above 0.
        alpha: in [0, 1], the weight of the average's term.
        decay: in [0, 1), of the average, per step.
        terms: see `Distiller`; their teacher is the average. Soft targets warm up over 5 epochs.

    Raises:
        BadInput: a value is out of its range.
    """

    teacher_kind = "itself"

    def __init__(self, temperature: float, alpha: float, decay: float = 0.99, terms: Terms | None = None) -> None:
        if not is_fraction(decay) or decay == 1:
            raise BadInput(f"loss.decay must lie in [0, 1), got {decay!r}. For example loss.decay=0.99.")
        super().__init__(temperature, alpha, merge_terms({"response_kd": {"warmup": WARMUP}}, terms))
        self.decay = decay

    @property
    def roles(self) -> list[str]:
        """Also those that are read from the average."""
        return list(dict.fromkeys([*super().roles, *super().teacher_roles]))

    def build_terms(self, context: BuildContext, seed: int = 0) -> None:
        """The teacher's features have the student's shapes."""
        super().build_terms(replace(context, teachers=[context.student]), seed)

    def own_teachers(self, student: Network, taps: Mapping[str, str]) -> Sequence[Teacher]:
        """The average, starting from the student's initial weights."""
        return [MovingAverage(student, self.decay, {role: taps[role] for role in self.teacher_roles})]

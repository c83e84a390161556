"""Progressive distillation: the teacher's weight falls and the temperature rises from step to step of a cascade."""

from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent, alpha_terms
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.settings.numbers import is_weight

LEAST_ALPHA = 0.1
MOST_TEMPERATURE = 20.0


class Progressive(TeacherStudent):
    """One step of a cascade of ever smaller networks, with temperature and alpha of its own.

    At step i, from 0, the temperature is temperature + i · temperature_step, at most 20, and alpha is
    alpha − i · alpha_step, at least 0.1 (or alpha itself where that is smaller).

    Args:
        temperature: of the first step, above 0.
        alpha: of the first step, in [0, 1].
        temperature_step: by which the temperature rises.
        alpha_step: by which alpha falls.
        step: which step of the cascade this is; the plan says so.
        terms: see `Distiller`; `ce` and `response_kd` have this step's weights and temperature.

    Raises:
        BadInput: a value is out of its range.
    """

    def __init__(
        self,
        temperature: float,
        alpha: float,
        *,
        temperature_step: float = 1.0,
        alpha_step: float = 0.1,
        step: int = 0,
        terms: Terms | None = None,
    ) -> None:
        for name, value in (("temperature_step", temperature_step), ("alpha_step", alpha_step), ("step", step)):
            if not is_weight(value):
                raise BadInput(f"loss.{name} must be a finite number, 0 or more; got {value!r}. For example 1.")
        first = alpha_terms(temperature, alpha)
        softness = min(temperature + step * temperature_step, max(MOST_TEMPERATURE, temperature))
        share = round(max(alpha - step * alpha_step, min(LEAST_ALPHA, alpha)), 12)
        _check_unchanged(terms or {}, first)
        now = alpha_terms(softness, share)
        said = {name: settings and {**settings, **(now.get(name) or {})} for name, settings in (terms or {}).items()}
        super().__init__(softness, share, merge_terms(now, said))
        self.temperature, self.alpha = softness, share


def _check_unchanged(terms: Terms, first: Terms) -> None:
    """Refuses values of the first step's that are the user's own: they would count for nothing."""
    for name, settings in first.items():
        for key, value in (settings or {}).items():
            if (said := (terms.get(name) or {}).get(key, value)) != value:
                raise BadInput(
                    f"loss.terms.{name}.{key} follows the step of the plan, and is {value:g} in the first, got {said}. "
                    f"Set loss.{'temperature' if key == 'temperature' else 'alpha'}."
                )

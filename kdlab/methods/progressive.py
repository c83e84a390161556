"""Progressive distillation: the teacher's weight falls and the temperature rises from step to step of a cascade."""

from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent, alpha_terms
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.settings.numbers import is_weight

LEAST_ALPHA = 0.1
MOST_TEMPERATURE = 20.0


class Progressive(TeacherStudent):
    """One step of a cascade of ever smaller networks, with its own temperature and alpha.

    At step i, from 0, the temperature is temperature + i · temperature_step, at most 20, and alpha is
    alpha − i · alpha_step, at least 0.1 (or alpha itself where that is smaller).

    Args:
        temperature: of the first step, above 0.
        alpha: of the first step, in [0, 1].
        temperature_step: by which the temperature rises.
        alpha_step: by which alpha falls.
        step: index of this step in the cascade, from 0; set by the plan.
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
        given = {name: settings and {**settings, **(now.get(name) or {})} for name, settings in (terms or {}).items()}
        super().__init__(softness, share, merge_terms(now, given))
        self.temperature, self.alpha = softness, share


def _check_unchanged(terms: Terms, first: Terms) -> None:
    """Refuses weights and temperatures in `terms` that differ from the first step's: they would be ignored."""
    for name, settings in first.items():
        for key, value in (settings or {}).items():
            if (given := (terms.get(name) or {}).get(key, value)) != value:
                raise BadInput(
                    f"loss.terms.{name}.{key} is set by the step of the plan, {value:g} in the first, got {given}. "
                    f"Set loss.{'temperature' if key == 'temperature' else 'alpha'}."
                )

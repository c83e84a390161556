"""Born-again networks: a student of the teacher's own architecture, generation after generation."""

from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent, alpha_terms
from kdlab.methods.term_settings import Terms, merge_terms

TREATMENTS = ("none", "cwtm", "dkpp")


class BornAgain(TeacherStudent):
    """One generation, distilled from the one before (Furlanello et al. 2018, arXiv:1805.04770).

    Two treatments isolate what the teacher's outputs contribute. `cwtm` (confidence weighted by teacher maximum) drops
    them and weighs the cross-entropy of each sample by the teacher's confidence over its batch sum. `dkpp` (dark
    knowledge with permuted predictions) keeps the teacher's maximum and permutes its other probabilities.

    Args:
        temperature: above 0.
        alpha: in [0, 1], the weight of the teacher's term. The paper has 1, with temperature 1.
        treatment: `none`, `cwtm` or `dkpp`.
        terms: see `Distiller`; `ce` and `response_kd` are replaced as the treatment says.

    Raises:
        BadInput: a value is out of its range.
    """

    def __init__(self, temperature: float, alpha: float, treatment: str = "none", terms: Terms | None = None) -> None:
        if treatment not in TREATMENTS:
            raise BadInput(f"loss.treatment must be one of {', '.join(TREATMENTS)}; got {treatment!r}.")
        merged = merge_terms(alpha_terms(temperature, alpha), terms)
        super().__init__(temperature, alpha, _treated(merged, treatment))


def _treated(terms: Terms, treatment: str) -> Terms:
    """The terms with that of the treatment, and without those that it replaces."""
    if treatment == "cwtm":
        return {"confidence_weighted_ce": {"weight": 1.0}, **terms, "ce": None, "response_kd": None}
    if treatment == "dkpp":
        renamed = {"permuted_kd" if name == "response_kd" else name: settings for name, settings in terms.items()}
        return {**renamed, "response_kd": None}
    return terms

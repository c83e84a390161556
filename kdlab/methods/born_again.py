"""Born-again networks: a student of the teacher's own architecture, generation after generation."""

from collections.abc import Mapping
from typing import Any

from kdlab.errors import BadInput
from kdlab.methods.teacher_student import TeacherStudent

TREATMENTS = ("none", "cwtm", "dkpp")


class BornAgain(TeacherStudent):
    """One generation, taught by the one before (Furlanello et al. 2018, arXiv:1805.04770).

    Two treatments isolate what the teacher's outputs contribute. `cwtm` (confidence weighted by teacher maximum) drops
    them and weighs the cross-entropy of each sample by the teacher's confidence over its batch sum. `dkpp` (dark
    knowledge with permuted predictions) keeps the teacher's maximum and permutes its other probabilities.

    Args:
        terms: see `Distiller`; `ce` and `response_kd` are replaced as the treatment says.
        temperature: above 0.
        alpha: in [0, 1], the weight of the teacher's term. The paper has 1, with temperature 1.
        treatment: `none`, `cwtm` or `dkpp`.

    Raises:
        BadInput: a value is out of its range.
    """

    def __init__(
        self,
        terms: Mapping[str, Mapping[str, Any]],
        temperature: float,
        alpha: float,
        treatment: str = "none",
    ) -> None:
        if treatment not in TREATMENTS:
            raise BadInput(f"loss.treatment must be one of {', '.join(TREATMENTS)}; got {treatment!r}.")
        super().__init__(_treated(terms, treatment), temperature, alpha)


def _treated(terms: Mapping[str, Mapping[str, Any]], treatment: str) -> dict[str, Mapping[str, Any]]:
    if treatment == "none":
        return dict(terms)
    if treatment == "cwtm":
        others = {name: settings for name, settings in terms.items() if name not in ("ce", "response_kd")}
        return {"confidence_weighted_ce": {"weight": 1.0}, **others}
    return {"permuted_kd" if name == "response_kd" else name: settings for name, settings in terms.items()}

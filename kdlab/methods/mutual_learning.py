"""Deep mutual learning: two students, trained together, each the other's teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.methods.shares import Shares
from kdlab.methods.soft_targets import SoftTargets
from kdlab.methods.term_settings import Terms
from kdlab.methods.terms import BuildContext, LossInputs, Weighted
from kdlab.models.taps import Outputs


class MutualLearning(SoftTargets):
    """Trains the student and a peer at once on the same batches (Zhang et al. 2018, arXiv:1706.00384).

    Each minimises all terms with the other's outputs of the same step as teacher; no gradient flows between them. The
    logged value of a term is the sum over both.

    Args:
        temperature: above 0; the paper has 1.
        terms: see `Distiller`.

    Raises:
        BadInput: the temperature is out of its range, or no term reads the other network.
    """

    teacher_kind = "peer"

    def __init__(self, temperature: float, terms: Terms | None = None) -> None:
        super().__init__(temperature, terms)
        if self.is_supervised:
            raise BadInput(
                "loss.terms needs one with a weight above 0 that compares the two networks, got only "
                f"{', '.join(term.name for term in self.settings)}. Set loss.terms.response_kd.weight=1, or loss=ce."
            )
        self.peer_terms = nn.ModuleList()

    @property
    def roles(self) -> list[str]:
        """The roles of student and teachers together: each network is both."""
        return list(dict.fromkeys([*super().roles, *super().teacher_roles]))

    @property
    def teacher_roles(self) -> list[str]:
        """The same as `roles`."""
        return self.roles

    def make_terms(self, context: BuildContext) -> None:
        """Builds the terms of both directions, each with its own adapters."""
        super().make_terms(context)
        self.peer_terms = self.new_terms(_swapped(context))

    def built_terms(self, context: BuildContext) -> Iterator[tuple[nn.ModuleList, BuildContext]]:
        """The terms of the student, and those of the peer."""
        yield from super().built_terms(context)
        yield self.peer_terms, _swapped(context)

    def values(
        self, student: Outputs, teachers: Sequence[Weighted], inputs: LossInputs, shares: Shares
    ) -> dict[str, Tensor]:
        """The sum over both directions."""
        ((peer, _),) = teachers
        of_student = self.term_values(self.terms, student, teachers, inputs, shares)
        of_peer = self.term_values(self.peer_terms, peer, [(student, 1.0)], inputs, shares)
        return {name: of_student[name] + of_peer[name] for name in of_student}


def _swapped(context: BuildContext) -> BuildContext:
    """The peer as the student, and the student as its teacher."""
    (peer,) = context.teachers
    return replace(context, student=peer, teachers=[context.student])

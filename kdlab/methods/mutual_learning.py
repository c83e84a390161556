"""Deep mutual learning: two students, trained together, each the other's teacher."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kdlab.data.batch import Batch
from kdlab.errors import BadInput
from kdlab.methods.shares import Shares
from kdlab.methods.soft_targets import SoftTargets
from kdlab.methods.terms import Answer, Facts, Step
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe


class MutualLearning(SoftTargets):
    """Trains the student and a peer at once on the same batches (Zhang et al. 2018, arXiv:1706.00384).

    Each minimises all terms with the other, as it is in that step, for a teacher; no gradient passes between them. What
    is logged of a term is the sum over both.

    Args:
        terms: see `Distiller`.
        temperature: above 0; the paper has 1.

    Raises:
        BadInput: the temperature is out of its range, or no term reads the other network.
    """

    needs_peer = True
    peer: Network

    def __init__(self, terms: Mapping[str, Mapping[str, Any]], temperature: float) -> None:
        super().__init__(terms, temperature)
        if self.is_supervised:
            raise BadInput(
                "loss.terms needs one with a weight above 0 that compares the two networks, got only "
                f"{', '.join(term.name for term in self.settings)}. Set loss.terms.response_kd.weight=1, or loss=ce."
            )
        self.peer_terms = nn.ModuleList()

    @property
    def needs_teacher(self) -> bool:
        """A peer is no frozen teacher."""
        return False

    @property
    def roles(self) -> list[str]:
        """Both networks are student and teacher: both are asked for all."""
        return list(dict.fromkeys([*super().roles, *super().teacher_roles]))

    def make_terms(self, facts: Facts) -> None:
        """Each direction has adapters of its own."""
        super().make_terms(facts)
        self.peer_terms = self.made_terms(facts.turned)

    def join(self, peer: Network, taps: Mapping[str, str] | None = None) -> None:
        """Gives the method its second student.

        Args:
            peer: from random weights.
            taps: its module path by role.
        """
        self.peer = peer
        self._peer_taps = Taps(peer.module, {role: (taps or {})[role] for role in self.roles})

    def answers(self, batch: Batch) -> list[Answer]:
        """What the peer says, with its gradient."""
        return [(self.task.aligned(observe(self.peer, self._peer_taps, batch.inputs), batch.targets), 1.0)]

    def values(self, student: Outputs, teachers: Sequence[Answer], step: Step, shares: Shares) -> dict[str, Tensor]:
        """Of both directions together."""
        ((peer, _),) = teachers
        forth = self.term_values(self.terms, student, teachers, step, shares)
        back = self.term_values(self.peer_terms, peer, [(student, 1.0)], step, shares)
        return {name: forth[name] + back[name] for name in forth}

    def companions(self) -> dict[str, Network]:
        """The peer."""
        return {"peer": self.peer}

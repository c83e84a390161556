"""A peer: a second network that is trained with the student, each the other's teacher."""

from collections.abc import Mapping

from kdlab.data.batch import Batch
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe
from kdlab.teachers.companion import Companion


class Peer(Companion):
    """Returns outputs with gradients, since the method trains it; terms detach the teacher's side.

    Args:
        network: with its initial weights.
        taps: its module path by role.
    """

    name = "peer"

    def __init__(self, network: Network, taps: Mapping[str, str]) -> None:
        super().__init__()
        self.network = network
        self.taps = Taps(network.module, taps)

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features of a batch, in train mode while the student is."""
        return observe(self.network, self.taps, batch.inputs)

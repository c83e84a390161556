"""The exponential moving average of the student, as its teacher."""

from collections.abc import Mapping
from typing import cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kdlab.data.batch import Batch
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe
from kdlab.teachers.companion import Companion


class MovingAverage(Companion):
    """The exponential moving average of the student's weights, in eval mode and without gradients.

    It is in the checkpoint, since resuming needs it. Its BatchNorm statistics are the student's.

    Args:
        student: with the weights that it starts from, and without taps on it yet.
        decay: in [0, 1), of the average per step.
        taps: module path by role, the same in student and average.
    """

    name = "average"

    def __init__(self, student: Network, decay: float, taps: Mapping[str, str]) -> None:
        super().__init__()
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(student, multi_avg_fn=move).requires_grad_(False)
        self.taps = Taps(self.network.module, taps)

    @property
    def network(self) -> Network:  # type: ignore[override]
        """The averaged network."""
        return cast(Network, self.average.module)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features of a batch."""
        return observe(self.network.eval(), self.taps, batch.inputs)

    @torch.no_grad()
    def update(self, student: Network) -> None:
        """Updates the average after a step of the student."""
        self.average.update_parameters(student)

"""All recorded cases."""

from tests.recorded.data import DATA
from tests.recorded.losses import LOSSES
from tests.recorded.networks import NETWORKS
from tests.recorded.shared import SHARED
from tests.recorded.training import TRAINING

CASES = {**LOSSES, **NETWORKS, **DATA, **SHARED, **TRAINING}

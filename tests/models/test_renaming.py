"""Names are replaced before loading, below any prefix, and own names stay."""

import torch
from torch import nn

from kdlab.models.renaming import accept_names


class Renamed(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        accept_names(self, {r"^head\.": "last.", r"^last\.": "fc."})


def weights(prefix):
    return {f"{prefix}.weight": torch.full((2, 2), 3.0), f"{prefix}.bias": torch.full((2,), 5.0)}


def test_expressions_apply_one_after_the_other_and_own_names_load_too():
    for prefix in ("head", "last", "fc"):
        network = Renamed()
        network.load_state_dict(weights(prefix))
        assert (network.fc.weight[0, 0].item(), network.fc.bias[0].item()) == (3.0, 5.0)


def test_below_another_module_only_the_part_inside_is_renamed():
    outer = nn.ModuleDict({"head": Renamed()})
    outer.load_state_dict(weights("head.head"))
    assert outer["head"].fc.bias[0].item() == 5.0


def test_the_given_dict_keeps_its_names():
    given = weights("head")
    Renamed().load_state_dict(given)
    assert set(given) == {"head.weight", "head.bias"}

import torch
from torch import nn

from kdlab.models.cost import flops, parameter_count


def test_flops_of_a_convolution_count_a_multiply_add_as_two():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 25, 4))
    assert flops(network, torch.zeros(1, 3, 5, 5)) == 2 * (8 * 3 * 9 * 25 + 8 * 25 * 4)
    assert network.training


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert parameter_count(nn.ModuleList([layer, layer])) == 12

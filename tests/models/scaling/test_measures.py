"""FLOPs are those of the network as it is built; a latency is measured on one thread and leaves torch as it was."""

import time

import pytest
import torch

from kdlab.models.scaling import flops_measure, latency_measure
from kdlab.models.scaling.measures import CALLS, ROUNDS, WARM_UP
from tests.models.scaling import SMALL_VIT, operations, settings

IMAGE = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)


@pytest.mark.parametrize(
    "network", [settings("resnet8"), SMALL_VIT, settings("mobilenetv3_small_100", "timm")], ids=str
)
def test_flops_on_the_meta_device_are_those_of_the_built_network(network):
    assert flops_measure(IMAGE).size(network, 10, "model") == operations(network)


def test_flops_are_those_at_the_networks_own_resolution():
    network = {**settings("resnet8"), "image_size": 16}
    assert flops_measure(IMAGE).size(network, 10, "model") == operations(settings("resnet8"), side=16)


def test_a_latency_is_that_of_a_call_in_milliseconds():
    measure, network = latency_measure(IMAGE), settings("resnet20")
    start = time.perf_counter()
    latency = measure.size(network, 10, "model")
    whole = 1000 * (time.perf_counter() - start)
    assert 0.1 < latency < whole / (WARM_UP + ROUNDS * CALLS / 2)  # in each round half of the calls take at least that
    assert measure.size(settings("resnet110"), 10, "model") > 2 * latency


def test_measuring_a_latency_changes_neither_threads_nor_random_numbers():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    latency_measure(IMAGE).size(settings("resnet8"), 10, "model")
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)

"""The benchmark's networks are RepDistiller's, tensor by tensor, and give the logits of its own code."""

import pytest
import torch

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.checkpoint import load_weights
from tests.models.repdistiller import IMAGE, NETWORKS, digest, published_shapes, weights_by_name


@pytest.fixture(params=NETWORKS, ids=lambda published: published.name)
def published(request):
    return request.param


@pytest.fixture
def network(published):
    with torch.device("meta"):
        network = getattr(cifar, published.name)(100, **published.kwargs)
    return network.to_empty(device="cpu").eval()


def test_every_benchmark_network_is_compared():
    ours = {name for name in cifar.__all__ if name not in ("small_cnn", "wrn")}
    assert ours == {published.name for published in NETWORKS}


def test_parameter_count_is_the_published_one(published, network):
    assert sum(parameter.numel() for parameter in network.parameters()) == published.parameters


def test_tensors_have_the_published_names_and_shapes(published, network):
    assert digest(published_shapes(network, published.names)) == published.digest


def test_published_names_load_and_give_the_published_logits(published, network, tmp_path):
    weights = weights_by_name(published_shapes(network, published.names))
    torch.save({"epoch": 240, "model": weights, "accuracy": torch.tensor(70.0)}, tmp_path / "ckpt_epoch_240.pth")
    load_weights(network, tmp_path / "ckpt_epoch_240.pth")
    with torch.no_grad():
        logits = network(IMAGE)[0, :3]
    torch.testing.assert_close(logits, torch.tensor(published.logits), rtol=1e-4, atol=1e-4)


def test_a_name_that_is_neither_ours_nor_theirs_is_refused(tmp_path):
    network = cifar.wrn_16_1(10)
    weights = {name.replace("fc.", "head."): value for name, value in network.state_dict().items()}
    torch.save(weights, tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"missing fc\.weight, fc\.bias; unexpected head\.weight, head\.bias"):
        load_weights(network, tmp_path / "a.pt")

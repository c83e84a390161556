import pytest
import torch
import yaml
from torch import nn

import kdlab
from kdlab.errors import BadInput
from kdlab.models.cifar import resnet8
from kdlab.models.network import Network
from kdlab.models.saved import load_network, load_predictions, save_network, save_predictions

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


class Tied(nn.Module):
    """A network of another package, with two layers that share their weights."""

    def __init__(self, num_classes):
        super().__init__()
        self.one = nn.Linear(num_classes, num_classes)
        self.two = nn.Linear(num_classes, num_classes)
        self.two.weight = self.one.weight

    def forward(self, inputs):
        return self.two(self.one(inputs))


def save_stage(folder, module, source, name, **kwargs):
    """Writes a finished stage with that network."""
    settings = {"source": source, "name": name, "num_classes": 5, "kwargs": kwargs, "mean": MEAN, "std": STD}
    (folder / "config.yaml").write_text(yaml.safe_dump({"network": settings}))
    save_network(folder, Network(module, mean=MEAN, std=STD))


def test_a_network_is_loaded_with_its_weights_and_its_preprocessing(tmp_path):
    module = resnet8(5, widths=[2, 2, 4, 4])
    save_stage(tmp_path, module, "cifar", "resnet8", widths=[2, 2, 4, 4])
    network = kdlab.load(str(tmp_path))
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = module.eval()((images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1))
    assert not network.training
    torch.testing.assert_close(network(images), expected)


def test_a_package_that_is_not_known_is_built_only_when_trusted(tmp_path):
    module = Tied(5)
    save_stage(tmp_path, module, "tests.models.test_saved", "Tied")
    with pytest.raises(
        BadInput, match=r"has a network from 'tests\.models\.test_saved'.*kdlab\.load\(…, trusted=True\)"
    ):
        kdlab.load(str(tmp_path))
    network = kdlab.load(str(tmp_path), trusted=True)
    torch.testing.assert_close(network.module.two.weight, module.one.weight)


def test_a_folder_without_a_finished_network_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"holds no finished network\. Name a run directory such as"):
        kdlab.load(str(tmp_path))
    with pytest.raises(BadInput, match=r"config\.yaml and student\.safetensors are not both there"):
        load_network(tmp_path)


def test_predictions_are_loaded_bit_for_bit(tmp_path):
    logits, targets = torch.randn(7, 3), torch.randint(3, (7,))
    save_predictions(tmp_path, logits, targets)
    torch.testing.assert_close(load_predictions(tmp_path), (logits, targets), rtol=0, atol=0)

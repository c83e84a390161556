"""Files of RepDistiller, mdistiller and torchdistill load unchanged: same keys, same names, same kinds of values."""

import argparse

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, MultiStepLR

from kdlab.models import cifar
from kdlab.models.build import build_network
from tests.models.repdistiller import IMAGE, NETWORKS, published_shapes, weights_by_name

SMALL = ("resnet8", "wrn_16_1", "vgg8", "mobilenetv2_half", "shufflenetv1", "shufflenetv2")


@pytest.fixture(params=[published for published in NETWORKS if published.name in SMALL], ids=lambda one: one.name)
def published(request):
    return request.param


@pytest.fixture
def weights(published):
    network = getattr(cifar, published.name)(100, **published.kwargs)
    return weights_by_name(published_shapes(network, published.names))


@pytest.fixture
def optimizer():
    """After a step, so that it has momentum."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.05, momentum=0.9, weight_decay=5e-4)
    parameter.sum().backward()
    optimizer.step()
    return optimizer


def gives_published_logits(published, content, path, **options):
    torch.save(content, path, **options)
    network = build_network(
        source="cifar",
        name=published.name,
        num_classes=100,
        kwargs=published.kwargs,
        checkpoint=path,
        setting="model.teacher",
    )
    with torch.no_grad():
        logits = network.eval()(IMAGE)[0, :3]
    return torch.allclose(logits, torch.tensor(published.logits), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["ckpt_epoch_240", "best", "last"])
def test_repdistillers_three_files_load(published, weights, optimizer, tmp_path, kind):
    options = argparse.Namespace(model="resnet8", learning_rate=0.05, lr_decay_epochs=[150, 180, 210], trial="0")
    beside = {
        "ckpt_epoch_240": {"epoch": 240, "accuracy": torch.tensor(72.34)},
        "best": {"epoch": 231, "best_acc": torch.tensor(72.5)},
        "last": {"opt": options},
    }[kind]
    content = {**beside, "model": weights, "optimizer": optimizer.state_dict()}
    path = tmp_path / f"{kind}.pth"
    assert gives_published_logits(published, content, path)
    assert gives_published_logits(published, content, path, _use_new_zipfile_serialization=False)


def test_a_file_from_before_batchnorm_counted_its_batches_loads(published, weights, tmp_path):
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(weights)
    content = {"epoch": 240, "model": old, "accuracy": torch.tensor(72.34)}
    assert gives_published_logits(published, content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)


def test_mdistillers_students_load(published, weights, optimizer, tmp_path):
    content = {"epoch": 240, "model": weights, "optimizer": optimizer.state_dict(), "best_acc": 72.34}
    assert gives_published_logits(published, content, tmp_path / "latest")


SCHEDULERS = {
    "multistep": lambda optimizer: MultiStepLR(optimizer, [150, 180, 210], gamma=0.1).state_dict(),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, 240).state_dict(),
    "lambda": lambda optimizer: LambdaLR(optimizer, lambda epoch: 0.9**epoch).state_dict(),
    "none": lambda optimizer: None,
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("best", [72.34, torch.tensor(72.34)])
def test_torchdistills_files_load(optimizer, tmp_path, scheduler, best):
    published = next(published for published in NETWORKS if published.name == "resnet20")
    arguments = argparse.Namespace(config="resnet20.yaml", run_log=None, device="cuda", start_epoch=0, test_only=False)
    network = cifar.resnet20(100, **published.kwargs)  # both repositories name their ResNets' modules as torchvision
    content = {
        "model": weights_by_name(published_shapes(network, published.names)),
        "optimizer": optimizer.state_dict(),
        "best_value": best,
        "lr_scheduler": SCHEDULERS[scheduler](optimizer),
        "args": arguments,
    }
    assert gives_published_logits(published, content, tmp_path / "cifar100-resnet20.pt")

"""Long checks on real CIFAR-10 with published weights: `make test-real`, with KDLAB_DATA set."""

import os
from pathlib import Path

import pytest
import torch

from kdlab.config import compose_config
from kdlab.metrics import classification_figures, predict
from kdlab.stage import initial_network, make_data
from kdlab.stages import teacher_stage
from tests.conftest import shared_data

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def cifar():
    folder = Path(os.environ.get("KDLAB_DATA", "data"))
    if not (folder / "cifar-10-batches-py" / "test_batch").is_file():
        pytest.skip("CIFAR-10 is not at hand: set KDLAB_DATA to the folder that holds cifar-10-batches-py")
    return folder


@pytest.mark.parametrize(
    ("name", "file", "accuracy"),
    [("resnet56", "resnet56-4bfd9763.th", 93.39), ("resnet20", "resnet20-12fca82f.th", 91.73)],
)
def test_published_weights_reach_their_published_accuracy(cifar, name, file, accuracy):
    checkpoint = shared_data() / "teachers" / file
    cfg = compose_config(
        ["data=cifar10", f"model/teacher={name}", f"model.teacher.checkpoint={checkpoint}", f"paths.data={cifar}"]
    )
    stage = teacher_stage(cfg)
    data = make_data(stage.data)
    data.setup("test")
    logits, targets = predict(initial_network(stage), data.test_dataloader(), torch.device("cpu"))
    assert stage.epochs == 0
    assert len(targets) == 10_000
    assert round(classification_figures(logits, targets)["accuracy"], 2) == accuracy

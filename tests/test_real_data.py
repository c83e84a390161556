"""Long checks on real CIFAR-10 with published weights: `make test-real`, with KDLAB_DATA set."""

import os
import shutil
from pathlib import Path

import pytest
import torch

import kdlab
from kdlab.config.compose import compose_config
from kdlab.jobs.stages import teacher_stage
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import initial_network
from kdlab.models.saved import load_network
from kdlab.runtime.executor import execute
from kdlab.screen.run import Screen
from kdlab.store.store import Store
from kdlab.tasks.image_classification import ImageClassification
from kdlab.tasks.predictions import predict
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
    logits, targets = predict(
        initial_network(stage), data.test_dataloader(), torch.device("cpu"), ImageClassification()
    )
    assert stage.epochs == 0
    assert len(targets) == 10_000
    assert round(ImageClassification().figures(logits, targets)["accuracy"], 2) == accuracy


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_published_teacher_is_read_from_the_cache_to_the_bits_of_computing_it(cifar, precision, tmp_path):
    overrides = [
        "data=cifar10",
        "model=resnet56_resnet8",
        f"model.teacher.checkpoint={shared_data() / 'teachers' / 'resnet56-4bfd9763.th'}",
        f"paths.data={cifar}",
        "data.train_samples=600",
        "epochs=3",
        "baseline=false",
        f"hardware.teacher_precision={precision}",
    ]
    found = {}
    for name, more in (("asked", "cache.enabled=false"), ("filled", "loss.alpha=0.7"), ("read", "loss.alpha=0.7")):
        plan, store = kdlab.plan([*overrides, more]), Store(tmp_path / more.partition(".")[0])
        shutil.rmtree(store.folder(plan.student), ignore_errors=True)
        execute(plan.stages, store, Screen())
        weights = load_network(store.folder(plan.student)).module.state_dict()
        found[name] = (weights, store.result(plan.student)["teacher_forwards"])
    (asked, every), (filled, distinct), (read, none) = found.values()
    torch.testing.assert_close(filled, asked, rtol=0, atol=0)
    torch.testing.assert_close(read, asked, rtol=0, atol=0)
    assert (every, none) == (1800, 0) and 0 < distinct <= 1800

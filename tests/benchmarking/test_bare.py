import torch

from kdlab.benchmarking.bare import bare_loop
from kdlab.jobs.training.loop import train
from kdlab.jobs.training.preparation import initial_network
from kdlab.models.checkpoint import read_weights
from tests.small import tiny_plan


def test_it_trains_as_kdlab_does(tmp_path):
    overrides = ["loss=ce", "data.labelled_fraction=1", "data.val_fraction=0", "epochs=1"]
    stage = tiny_plan(*overrides).student
    train(stage, tmp_path)
    expected = read_weights(tmp_path / "student.safetensors")
    network = initial_network(stage)
    steps = bare_loop(stage, network, torch.device("cpu"))
    for _ in range(3):  # 96 samples in batches of 32
        next(steps)
    for name, weight in network.module.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)


def test_it_begins_another_epoch_after_the_last_batch():
    stage = tiny_plan("loss=ce", "data.train_samples=8", "data.batch_size=4").student
    steps = bare_loop(stage, initial_network(stage), torch.device("cpu"))
    assert [next(steps) for _ in range(3)] == [None] * 3

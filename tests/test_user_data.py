"""A user's own data module, loss and network, from a folder of theirs and without touching kdlab."""

import json
import sys

import pytest

from kdlab.sweeps.cli import run
from kdlab.train import train

MODULE = '''
import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Blobs(lightning.LightningDataModule):
    """Three clouds of points."""

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size, self.num_classes = batch_size, 3

    def part(self, seed, samples):
        rng = torch.Generator().manual_seed(seed)
        labels = torch.randint(3, (samples,), generator=rng)
        points = nn.functional.one_hot(labels, 4).float() + 0.3 * torch.randn(samples, 4, generator=rng)
        return DataLoader(TensorDataset(points, labels), self.batch_size)

    def train_dataloader(self):
        return self.part(0, 120)

    def val_dataloader(self):
        return self.part(1, 30)

    def test_dataloader(self):
        return self.part(2, 60)


def mlp(num_classes, width):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, num_classes))


def margin(student, teacher, power=1.0):
    """A loss of the user's: distance of the logits."""
    return (student - teacher).abs().pow(power).mean()
'''
DATA = "_target_: blobs.Blobs\nbatch_size: 20\n"
LOSS = (
    "_target_: kdlab.methods.Distiller\nterms:\n  ce: {weight: 1.0}\n  margin: {_target_: blobs.margin, weight: 0.5}\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "blobs.py").write_text(MODULE)
    for group, text in (("data", DATA), ("loss", LOSS)):
        (tmp_path / "mine" / group).mkdir(parents=True)
        (tmp_path / "mine" / group / "blobs.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "blobs", raising=False)
    return tmp_path


def network(role, width):
    node = f"model.{role}"
    return [f"model/{role}=cifar", f"{node}.source=blobs", f"{node}.name=mlp", f"{node}.kwargs.width={width}"]


def test_everything_of_the_users_own(folder):
    arguments = ["--config-dir", "mine", "data=blobs", "loss=blobs", *network("teacher", 32), *network("student", 2)]
    recipe = [
        "epochs=8",
        "model.teacher.train.epochs=8",
        "optimizer.lr=0.05",
        "loss.terms.margin.power=2",
        "hardware=cpu",
    ]
    assert run(train, [*arguments, *recipe]) == 0
    (path,) = folder.glob("outputs/blobs-*/result.json")
    result = json.loads(path.read_text())
    assert result["teacher"]["test/accuracy"] > 90
    assert result["student"]["params"] == 4 * 2 + 2 + 2 * 3 + 3
    header = (path.parent / "student" / "metrics.csv").read_text().splitlines()[0]
    assert "train/margin" in header


def test_a_data_module_that_does_not_say_its_classes_is_told_how(folder, capfd):
    (folder / "blobs.py").write_text(MODULE.replace(", self.num_classes = batch_size, 3", " = batch_size"))
    arguments = [
        "--config-dir",
        "mine",
        "data=blobs",
        "data.batch_size=30",
        *network("teacher", 32),
        *network("student", 2),
    ]
    assert run(train, arguments) == 2
    assert "Blobs.num_classes must be a whole number of at least 2 after setup(), got None" in capfd.readouterr().err

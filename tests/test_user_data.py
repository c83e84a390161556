"""A user's own data module, loss and network, from a folder of theirs and without touching kdlab."""

import json
import sys
from collections import Counter

import pytest
import safetensors.torch
import torch

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


def test_the_error_for_a_data_module_without_num_classes_says_how_to_set_it(folder, capfd):
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


COUNTED = '''
import os


class Counted(TensorDataset):
    """Records which process reads which sample."""

    def __getitem__(self, index):
        with open(f"read-{os.environ.get('LOCAL_RANK', 'single')}.txt", "a") as log:
            log.write(f"{index}\\n")
        return super().__getitem__(index)


class Shuffled(Blobs):
    def train_dataloader(self):
        return DataLoader(Counted(*super().train_dataloader().dataset.tensors), self.batch_size, shuffle=True)


class Weighted(Blobs):
    def train_dataloader(self):
        sampler = torch.utils.data.WeightedRandomSampler([1.0] * 120, 120)
        return DataLoader(super().train_dataloader().dataset, self.batch_size, sampler=sampler)
'''
TWO_RANKS = ["trainer.devices=2", "trainer.strategy=ddp"]


def supervised(kind, outputs, *overrides):
    """The arguments of a short run without a teacher."""
    networks = ["loss=ce", *network("teacher", 4), *network("student", 8), "hardware=cpu", "hardware.threads=1"]
    data = [f"data._target_=blobs.{kind}", "data.batch_size=21", f"paths.outputs={outputs}"]
    return ["--config-dir", "mine", "data=blobs", *networks, "optimizer.lr=0.05", "epochs=2", *data, *overrides]


def reads(rank):
    """How often a rank read each sample."""
    return Counter(int(line) for line in open(f"read-{rank}.txt").read().split())


def test_two_ranks_of_a_users_module_end_with_the_weights_of_one_process_and_share_the_samples(folder):
    (folder / "blobs.py").write_text(MODULE + COUNTED)
    trained, results = [], []
    for outputs, overrides in (("one", []), ("two", TWO_RANKS)):
        assert run(train, supervised("Shuffled", outputs, *overrides)) == 0
        (path,) = folder.glob(f"{outputs}/ce-*/result.json")
        results.append(json.loads(path.read_text())["student"])
        trained.append(safetensors.torch.load_file(path.parent / "student" / "student.safetensors"))
    one, two = trained
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)
    assert results[0]["val/accuracy"] == results[1]["val/accuracy"] > 50
    first, second = reads(0), reads(1)
    assert first + second == Counter({index: 2 for index in range(120)})  # once an epoch, on one of the two
    assert len(first) > 60 < len(second)  # other samples in the second epoch


def test_ranks_refuse_a_module_that_they_cannot_share_before_anything_trains(folder, capfd):
    (folder / "blobs.py").write_text(MODULE + COUNTED)
    assert run(train, supervised("Weighted", "two", *TWO_RANKS)) == 2
    printed = " ".join(capfd.readouterr().err.split())
    assert (
        "data: each of 2 ranks needs its own share of the data, and Weighted.train_dataloader() returns a "
        "DataLoader with the sampler WeightedRandomSampler. kdlab can shard" in printed
    )
    assert not list(folder.glob("two/store/*/last.ckpt"))


def test_teachers_outputs_on_text_are_cached_by_the_indices_of_its_batches(folder):
    (folder / "mine" / "data" / "words.yaml").write_text(
        "_target_: tests.data.toy_text.ToyText\nbatch_size: 3\nseed: ${seed}\n"
    )
    networks = [*network("teacher", 8), *network("student", 4)]
    networks = [part.replace("=blobs", "=tests.data.toy_text").replace("=mlp", "=Bag") for part in networks]
    recipe = ["hardware=cpu", "hardware.threads=1", "epochs=4", "model.teacher.train.epochs=1", "baseline=false"]
    students, hits = [], []
    for name, overrides in (("computed", ["cache.enabled=false"]), ("filled", []), ("read", ["seed=1"])):
        outputs = "computed" if name == "computed" else "cached"
        command = ["--config-dir", "mine", "data=words", *networks, *recipe, f"paths.outputs={outputs}", *overrides]
        assert run(train, [*command, f"name={name}"]) == 0
        (path,) = folder.glob(f"{outputs}/{name}-*/result.json")
        stage = json.loads(path.read_text())["stages"][-1]
        hits.append((stage["teacher_forwards"], stage["teacher_recalls"]))
        students.append(safetensors.torch.load_file(path.parent / "student" / "student.safetensors"))
    assert hits[0] == (4 * 65, 0) and sum(hits[1]) == sum(hits[2]) == 4 * 65
    assert 0 < hits[1][1] < hits[2][1]  # a document has few padded lengths, also in another order
    for key, tensor in students[0].items():
        assert torch.equal(tensor, students[1][key]), key

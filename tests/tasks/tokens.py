"""A token-level task small enough to check by hand: predict the next symbol of sequences of unequal length.

As one rank of several, or a single process: `python -m tests.tasks.tokens FOLDER` trains a student and writes
FOLDER/<ranks>.pt, its weights and validation metrics.
"""

import math
import os
import sys
from functools import partial
from pathlib import Path

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from kdlab.jobs.training.checkpointing import KeepLast
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.history import History
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare
from kdlab.jobs.training.stage import Stage
from kdlab.jobs.training.trainer import make_trainer
from kdlab.runtime.logs import quiet_screen
from kdlab.tasks.base import Task
from kdlab.tasks.description import Description, Metric
from kdlab.tasks.metrics import Accuracy, NegativeLogLikelihood

VOCABULARY = 7
LONGEST = 9
WORLD = int(os.environ.get("WORLD_SIZE", "1"))
PERPLEXITY = Metric("perplexity", "perplexity", decimals=2, higher_is_better=False, is_relative=True)
NEXT_SYMBOL = Description(
    "next_symbol", "token", (PERPLEXITY, Metric("accuracy", "accuracy", "%", 2)), names_classes=False
)


class Perplexity(NegativeLogLikelihood):
    def compute(self) -> Tensor:
        return super().compute().exp()


class NextSymbol(Task):
    """Perplexity is the headline: lower is better."""

    description = NEXT_SYMBOL

    def metrics(self) -> MetricCollection:
        return MetricCollection({"perplexity": Perplexity(), "accuracy": Accuracy()}, compute_groups=False)

    def references(self, train: Tensor, test: Tensor) -> dict[str, dict[str, float]]:
        """Predicts each symbol with its frequency."""
        counts = torch.bincount(train, minlength=VOCABULARY).double() + 1
        nll = -(counts / counts.sum()).log()[test].mean().item()
        return {"symbol frequencies": {"perplexity": math.exp(nll)}}


class Sequences(lightning.LightningDataModule):
    """Symbols that count upwards modulo the vocabulary, with occasional jumps.

    Args:
        batch_size: sequences of one step, over all ranks together; rank r of n takes r, r + n, … of each.
        padding: positions appended to every batch beyond its longest sequence.
        samples: sequences to train on.
    """

    task = NextSymbol()
    num_classes = VOCABULARY

    def __init__(self, batch_size: int = 8, padding: int = 0, samples: int = 21) -> None:
        super().__init__()
        self.batch_size, self.padding, self.samples = batch_size, padding, samples

    def train_dataloader(self):
        return self.batches(0, self.samples)

    def val_dataloader(self):
        return self.batches(1, 11)

    def test_dataloader(self):
        return self.batches(2, 30)

    def batches(self, seed: int, samples: int) -> DataLoader:
        sequences = [sequence(seed, number) for number in range(samples)]
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        whole = [sequences[first : first + self.batch_size] for first in range(0, samples, self.batch_size)]
        return DataLoader([padded(batch[rank::ranks], self.padding) for batch in whole], batch_size=None)


def sequence(seed: int, number: int) -> Tensor:
    """Between 3 and `LONGEST` symbols."""
    draw = torch.Generator().manual_seed(1000 * seed + number)
    length = int(torch.randint(3, LONGEST + 1, (1,), generator=draw))
    steps = 1 + (torch.rand(length, generator=draw) < 0.2) * torch.randint(1, 4, (length,), generator=draw)
    return steps.cumsum(0) % VOCABULARY


def padded(sequences: list[Tensor], padding: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs by keyword and the targets of their positions, -100 where there is none."""
    width = max(map(len, sequences), default=2) - 1 + padding
    tokens = torch.zeros(len(sequences), width, dtype=torch.int64)
    targets = torch.full((len(sequences), width), -100)
    for row, symbols in enumerate(sequences):
        tokens[row, : len(symbols) - 1] = symbols[:-1]
        targets[row, : len(symbols) - 1] = symbols[1:]
    return {"tokens": tokens}, targets


class Reader(nn.Module):
    """Reads a symbol and the mean of those up to it: appended padding does not change earlier outputs."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, width)
        self.hidden = nn.Sequential(nn.Linear(2 * width, width), nn.Tanh())
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.embedding(tokens)
        mean = embedded.cumsum(1) / torch.arange(1, tokens.shape[1] + 1).view(-1, 1)
        return self.head(self.hidden(torch.cat([embedded, mean], -1)))


TERMS = {
    "ce": {"weight": 0.5},
    "response_kd": {"weight": 0.5, "temperature": 2.0},
    "hint": {"weight": 0.3, "taps": ["hidden"], "adapter": "student"},
    "similarity_preserving": {"weight": 10.0, "taps": ["hidden"]},
}


def stage(name="student", width=3, teachers=(), terms=TERMS, **changed) -> Stage:
    network = {"source": "tests.tasks.tokens", "name": "Reader", "kwargs": {"width": width}, "num_classes": VOCABULARY}
    settings = {
        "data": {"_target_": "tests.tasks.tokens.Sequences"},
        "epochs": 2,
        "seed": 0,
        "trainer": {},
        **changed,
    }
    hardware = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true", "threads": 1}
    return Stage(
        name=name,
        network={**network, "taps": {"hidden": "hidden"}},
        loss={"_target_": "kdlab.methods.Distiller", "terms": terms if teachers else {"ce": {"weight": 1.0}}},
        optimizer={"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.3},
        scheduler={"_target_": "torch.optim.lr_scheduler.ConstantLR", "_partial_": True, "factor": 1.0},
        hardware={**hardware, "teacher_precision": "float32"},
        teachers=tuple((teacher, 1.0) for teacher in teachers),
        **settings,
    )


def distilled(**changed) -> Stage:
    return stage(teachers=[stage("teacher", width=5, seed=1)], **changed)


def fitted(student: Stage, folder: Path) -> dict[str, dict[str, Tensor]]:
    """Trains a stage with a teacher of random weights, in a single process or as one rank of several."""
    method, network = make_method(student), initial_network(student)
    prepare(method, network, student, [partial(initial_network, teacher) for teacher, _ in student.teachers])
    keep = KeepLast(folder / f"{WORLD}.ckpt", History())
    trainer = make_trainer(student, folder, [keep], keep.history)
    with cpu_threads(1):
        trainer.fit(method, datamodule=make_data(student.data))
    figures = {name: value for name, value in trainer.callback_metrics.items() if name.partition("/")[0] != "lr"}
    return {"weights": network.module.state_dict(), "figures": figures}


if __name__ == "__main__":
    quiet_screen()
    one = distilled(data={"_target_": "tests.tasks.tokens.Sequences", "batch_size": 5, "samples": 19})
    if WORLD > 1:
        one.hardware.update(devices=WORLD, strategy="ddp")
    outcome = fitted(one, Path(sys.argv[1]))
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        torch.save(outcome, Path(sys.argv[1]) / f"{WORLD}.pt")

"""One rank of several, or the only process: two steps of every loss option on a pair without batch statistics.

python -m tests.ranks_contract FOLDER LOSS…      writes FOLDER/<loss>-<ranks>.pt, the student's weights

Each process reads its plans from FOLDER/plans.pickle, since Hydra needs a third of a second to compose one.
"""

import os
import pickle
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

import kdlab
from kdlab.jobs.plan import Plan
from kdlab.jobs.training.checkpointing import KeepLast
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.history import History
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare
from kdlab.jobs.training.ranks import leave_group
from kdlab.jobs.training.trainer import make_trainer
from kdlab.runtime.logs import quiet_screen
from tests.small import QUICK

PAIR = [
    *QUICK,
    "plan=single",
    "model/teacher=small_cnn",
    "model/student=small_cnn",
    "model.teacher.train.seed=1",  # with the same seed they would be the same network
    "data.labelled_fraction=0.5",
    "data.train_samples=61",  # batches of 32 and 29: an odd size, and labels that two ranks do not share evenly
    "data.val_fraction=0",
    "epochs=1",
    "optimizer.lr=0.01",
]


@cache
def pair_plan(loss: str) -> Plan:
    """Teacher and student are small_cnn."""
    return kdlab.plan([*PAIR, f"loss={loss}"])


def train(loss: str, plan: Plan, root: Path) -> None:
    """Two steps, with a teacher of random weights that is the same in every process."""
    method, network = make_method(plan.student), initial_network(plan.student)
    prepare(method, network, plan.student, [partial(initial_network, teacher) for teacher, _ in plan.student.teachers])
    hardware = {**plan.student.hardware, "devices": WORLD, "strategy": "ddp" if WORLD > 1 else "auto"}
    keep = KeepLast(root / f"{loss}-{WORLD}.ckpt", History())
    trainer = make_trainer(replace(plan.student, hardware=hardware), root, [keep], keep.history)
    with cpu_threads(1):
        trainer.fit(method, datamodule=make_data(plan.student.data))
    if trainer.is_global_zero:
        torch.save(network.module.state_dict(), root / f"{loss}-{WORLD}.pt")


WORLD = int(os.environ.get("WORLD_SIZE", "1"))

if __name__ == "__main__":
    quiet_screen()
    folder = Path(sys.argv[1])
    plans = pickle.loads((folder / "plans.pickle").read_bytes())
    for name in sys.argv[2:]:
        train(name, plans[name], folder)
    leave_group()

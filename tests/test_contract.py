"""The contract of every loss option: it trains the student, not the teacher, resumes exactly, and scales to ranks."""

import os
import pickle
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

import kdlab.jobs.training.checkpointing
from kdlab.config.folders import CONF
from kdlab.data.batch import Batch
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare, teacher_network
from kdlab.settings.old_names import without_old_names
from kdlab.store.store import Store
from tests.jobs.training.test_stage import Crash, CrashAt, assert_same_stage, stage_in, weights
from tests.ranks_contract import pair_plan
from tests.small import tiny_plan

LOSSES = without_old_names("loss", sorted(path.stem for path in (CONF / "loss").glob("*.yaml")))
WITHOUT_TEACHER = ("ce", "mean_teacher", "mutual", "self_attention_distillation")  # no frozen teacher


def plan_of(loss, *overrides):
    return tiny_plan(f"loss={loss}", "plan=single", *overrides)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all options: they share a teacher."""
    return tmp_path_factory.mktemp("contract")


def ready(store, plan):
    """The student's method before its first step, with its networks, and its first batch."""
    stage = plan.student
    teachers = [stage_in(store, plan, teacher.name) for teacher, _ in stage.teachers]
    method, network = make_method(stage), initial_network(stage)
    prepare(method, network, stage, [partial(teacher_network, stage, folder) for folder in teachers])
    data = make_data(stage.data)
    data.setup("fit")
    return method, next(iter(data.train_dataloader()))


@pytest.mark.parametrize("loss", LOSSES)
def test_two_steps_move_the_student_and_no_bit_of_the_teacher(loss, store):
    plan = plan_of(loss, "epochs=1", "trainer.limit_train_batches=2")
    before = {name: tensor.clone() for name, tensor in initial_network(plan.student).module.state_dict().items()}
    teachers = {teacher.name: weights(stage_in(store, plan, teacher.name)) for teacher, _ in plan.student.teachers}
    after = weights(stage_in(store, plan, "student"))
    moved = [name for name in after if after[name].is_floating_point() and not torch.equal(after[name], before[name])]
    assert {"conv1.weight", "layer3.0.conv2.weight"} <= set(moved)
    for name, tensors in teachers.items():
        torch.testing.assert_close(weights(stage_in(store, plan, name)), tensors, rtol=0, atol=0)
    assert bool(teachers) == (loss not in WITHOUT_TEACHER)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_term_has_a_gradient_to_the_student_in_its_first_step_also_under_autocast(loss, store):
    method, batch = ready(store, plan_of(loss, "hardware.teacher_precision=bfloat16"))
    for autocast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            student, inputs = method.student_outputs(Batch.of(batch), 0)
            teachers = method.teacher_outputs(Batch.of(batch))
            values = {term.name: term(student, teachers, inputs) for term in method.terms}
        for name, value in values.items():
            gradients = torch.autograd.grad(
                value, list(method.student.parameters()), retain_graph=True, allow_unused=True
            )
            strength = sum(gradient.abs().sum() for gradient in gradients if gradient is not None)
            assert value.dtype == torch.float32, name
            assert value.isfinite(), name
            assert 0 < strength < torch.inf, name


@pytest.mark.parametrize("loss", LOSSES)
def test_a_crash_within_an_epoch_changes_no_bit(loss, store, tmp_path, monkeypatch):
    uninterrupted = stage_in(store, plan_of(loss), "student")
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = plan_of(loss)
    for teacher, _ in plan.student.teachers:
        Store(tmp_path).folder(teacher).symlink_to(Store(store).folder(teacher))
    with pytest.raises(Crash):
        stage_in(tmp_path, plan, "student", [CrashAt(4)])  # of 2 epochs of 3
    assert_same_stage(stage_in(tmp_path, plan, "student"), uninterrupted)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory, request):
    """The tested options, trained by one process and by two ranks, on a pair without batch statistics."""
    root = tmp_path_factory.mktemp("ranks")
    losses = sorted({item.callspec.params["loss"] for item in request.session.items if "ranked" in item.fixturenames})
    (root / "plans.pickle").write_bytes(pickle.dumps({loss: pair_plan(loss) for loss in losses}))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for rank_variables in ([None], [0, 1]):
        processes = [_start(root, losses, port, rank, len(rank_variables)) for rank in rank_variables]
        assert [process.wait() for process in processes] == [0] * len(processes)
    return root


def _start(root: Path, losses: list[str], port: int, rank: int | None, ranks: int) -> subprocess.Popen:
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    variables = {**rendezvous, "WORLD_SIZE": str(ranks)} if rank is not None else {}
    command = [sys.executable, "-m", "tests.ranks_contract", str(root), *losses]
    return subprocess.Popen(command, env={**os.environ, **variables}, cwd=CONF.parent)


@pytest.mark.parametrize("loss", LOSSES)
def test_two_ranks_end_with_the_weights_of_one_process(loss, ranked):
    one, two = (torch.load(ranked / f"{loss}-{ranks}.pt", weights_only=True) for ranks in (1, 2))
    start = initial_network(pair_plan(loss).student).module.state_dict()
    for name, tensor in one.items():
        moved = (tensor - start[name]).norm()
        assert (two[name] - tensor).norm() <= 2e-3 * moved, name

"""Options of a training step: accumulation, clipping, fused optimizers, torch.compile."""

import pytest
import torch
from torch import nn

import kdlab.jobs.training.checkpointing
import kdlab.jobs.training.loop
from kdlab.jobs.training.preparation import initial_network, prepare
from tests.jobs.training.test_stage import Crash, CrashAt, assert_same_stage, small_cnn_plan, stage_in, weights
from tests.small import tiny_plan

PLAIN = (
    "loss=ce",
    "data.labelled_fraction=1",
    "data.image_size=8",
    "model/student=small_cnn",
    "+model.student.kwargs.image_size=8",
    "epochs=1",
    "scheduler=constant",
    "optimizer.momentum=0",
    "optimizer.nesterov=false",
    "optimizer.weight_decay=0",
)


def moved(plan, folder) -> torch.Tensor:
    """How far training moved the student: all weights in one vector."""
    before = initial_network(plan.student).module.state_dict()
    return torch.cat([(after - before[name]).flatten() for name, after in weights(folder).items()])


def test_two_half_batches_accumulated_are_one_batch_without_batch_statistics(tmp_path):
    whole = small_cnn_plan(*PLAIN, "data.batch_size=32")
    halves = small_cnn_plan(*PLAIN, "data.batch_size=16", "trainer.accumulate_grad_batches=2")
    one, two = stage_in(tmp_path, whole, "student"), stage_in(tmp_path, halves, "student")
    assert moved(whole, one).norm() > 1e-2
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batches", [4, 10])  # of epochs of 6; the one before is the first of two that make a step
def test_a_crash_between_accumulated_batches_changes_no_bit(batches, tmp_path, monkeypatch):
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = tiny_plan("loss=ce", "data.image_size=8", "data.batch_size=16", "trainer.accumulate_grad_batches=2")
    uninterrupted = stage_in(tmp_path / "uninterrupted", plan, "student")
    with pytest.raises(Crash):
        stage_in(tmp_path / "crashed", plan, "student", [CrashAt(batches)])
    counter = CrashAt(100)
    assert_same_stage(stage_in(tmp_path / "crashed", plan, "student", [counter]), uninterrupted)
    assert 100 - counter.left == 12 - (batches - 2)  # it continued after the last whole step


def test_a_clipped_step_has_the_largest_allowed_norm(tmp_path):
    plan = small_cnn_plan(*PLAIN, "data.train_samples=32", "optimizer.lr=0.5", "trainer.gradient_clip_val=0.01")
    step = moved(plan, stage_in(tmp_path, plan, "student"))
    assert step.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_a_fused_optimizer_takes_the_same_steps(tmp_path, monkeypatch):
    base = ("loss=ce", "epochs=1", "data.image_size=8", "optimizer.lr=0.001")
    one = stage_in(tmp_path, tiny_plan(*base), "student")
    methods = []

    def recorded(method, *rest, **options):
        methods.append(method)
        return prepare(method, *rest, **options)

    monkeypatch.setattr(kdlab.jobs.training.loop, "prepare", recorded)
    two = stage_in(tmp_path, tiny_plan(*base, "hardware.fused=true"), "student")
    assert all(group["fused"] for group in methods[0].trainer.optimizers[0].param_groups)
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-4, atol=1e-5)


def test_a_compiled_student_trains_with_its_taps_and_is_evaluated_as_it_is_saved(tmp_path, monkeypatch):
    modes, graphs = [], []

    def interpreted(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def compile_cheaply(module, mode=None):
        modes.append(mode)
        module._compiled_call_impl = torch.compile(module._call_impl, backend=interpreted)

    monkeypatch.setattr(nn.Module, "compile", compile_cheaply)
    torch.compiler.reset()
    base = ("loss=self_attention_distillation", "epochs=1", "data.image_size=16", "optimizer.lr=0.001")
    one = stage_in(tmp_path, tiny_plan(*base), "student")
    two = stage_in(tmp_path, tiny_plan(*base, "hardware.compile=reduce-overhead"), "student")
    assert modes == ["reduce-overhead"]
    assert len(graphs) == 1  # none for validation and test
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-4, atol=1e-5)

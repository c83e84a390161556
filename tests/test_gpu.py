"""Tests that need a GPU: the same bits in each run, the values of the CPU, and several stages at a time.

`pytest -m gpu`. Weights are compared bit for bit under `trainer.deterministic=true`.
"""

import copy
import json
import shutil

import pytest
import torch
from lightning.pytorch import Callback

import kdlab.jobs.training.checkpointing
from kdlab.data.batch import Batch
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import initial_network
from kdlab.jobs.training.ranks import train_with_ranks
from kdlab.runtime.executor import execute
from kdlab.store.store import Store
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.jobs.training.test_stage import Crash, CrashAt, assert_same_stage, small_cnn_plan, stage_in, weights
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.test_golden import CALLS
from tests.small import TINY, tiny_plan
from tests.test_contract import LOSSES, ready

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU here"),
]
GPU = ("hardware=gpu", "hardware.threads=1", "hardware.teacher_precision=float32", "trainer.deterministic=true")
DROPOUT = ("model.student.kwargs.dropout=0.3",)


def gpu_plan(*overrides):
    return tiny_plan(*GPU, *overrides)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests that use the same teacher."""
    return tmp_path_factory.mktemp("gpu")


@pytest.fixture
def own_store(store, tmp_path):
    """The test's own store, with the teacher only."""
    teacher = stage_in(store, gpu_plan(), "teacher")
    shutil.copytree(teacher, tmp_path / teacher.name)
    return tmp_path


@pytest.fixture
def exact_convolutions(monkeypatch):
    """float32 as the CPU computes it, rather than in TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("key", sorted(CALLS))
def test_losses_agree_with_the_public_implementations_on_the_gpu(key, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # convolutions in float32, as on the CPU
    call, inputs = CALLS[key]
    value = call(*(golden_input(name).cuda() for name in inputs)).item()
    assert value == pytest.approx(EXPECTED[key], rel=1e-5, abs=0)


def term_values(method, batch, device):
    method.to(device)
    for teacher in method.teachers:
        teacher.to(torch.device(device))
    method.student.eval()  # batch statistics would hide differences of the losses
    student, inputs = method.student_outputs(batch.to(torch.device(device)), 0)
    teachers = method.teacher_outputs(batch.to(torch.device(device)))
    return {term.name: term(student, teachers, inputs) for term in method.terms}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_term_of_every_loss_has_the_value_of_the_cpu(loss, tmp_path_factory, exact_convolutions):
    plan = tiny_plan(f"loss={loss}", "plan=single")
    method, batch = ready(tmp_path_factory.getbasetemp() / "contract", plan)
    batch = Batch.of(batch)
    on_cpu = {name: value.item() for name, value in term_values(method, batch, "cpu").items()}
    moved, _ = ready(tmp_path_factory.getbasetemp() / "contract", plan)
    for name, value in term_values(moved, batch, "cuda").items():
        assert value.device.type == "cuda"
        assert value.item() == pytest.approx(on_cpu[name], rel=1e-3, abs=1e-6), name


class RecordBatch(Callback):
    """Records the first batch of training, as the step gets it."""

    batch = None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.batch is None:
            self.batch = copy.copy(Batch.of(batch))
            self.images = trainer.datamodule._images["train"]


def test_images_are_resident_on_the_gpu_and_augmented_there_to_the_same_pixels(store, tmp_path):
    record, plan = RecordBatch(), gpu_plan("loss=ce")
    stage_in(tmp_path, plan, "student", [record])
    assert record.images.device.type == record.batch.inputs.device.type == "cuda"
    data = make_data(plan.student.data)
    data.setup("fit")
    (expected,) = data.training_inputs(data.batches(0)[:1])
    assert torch.equal(record.batch.inputs.cpu(), expected)
    assert torch.equal(record.batch.targets.cpu(), data.batch_at(0, 0).targets)


@pytest.mark.parametrize("loss", ["response", "attention", "crd", "mutual", "mean_teacher"])
def test_the_same_stage_twice_has_the_same_bits(loss, own_store, tmp_path_factory):
    plan = gpu_plan(f"loss={loss}", *DROPOUT)
    again = tmp_path_factory.mktemp("again")
    for teacher, _ in plan.student.teachers:
        Store(again).folder(teacher).symlink_to(Store(own_store).folder(teacher))
    assert_same_stage(stage_in(own_store, plan, "student"), stage_in(again, plan, "student"))


def test_a_crash_within_an_epoch_changes_no_bit(own_store, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    plan = gpu_plan(*DROPOUT)
    uninterrupted = stage_in(own_store, plan, "student")
    crashed = tmp_path_factory.mktemp("crashed")
    Store(crashed).folder(plan.teacher).symlink_to(Store(own_store).folder(plan.teacher))
    with pytest.raises(Crash):
        stage_in(crashed, plan, "student", [CrashAt(4)])  # of 2 epochs of 3
    assert_same_stage(stage_in(crashed, plan, "student"), uninterrupted)


def run_student(root, *overrides):
    """Trains the student again; its figures and weights."""
    plan = gpu_plan("baseline=false", *overrides)
    store = Store(root)
    shutil.rmtree(store.folder(plan.student), ignore_errors=True)
    execute(plan.stages, store, lambda event: None)
    return Store(root).result(plan.student), weights(store.folder(plan.student))


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_cached_outputs_train_the_same_bits_as_a_teacher_without_cache(own_store):
    long = ("epochs=6", "data.padding=1")
    live, expected = run_student(own_store, *long, "cache.enabled=false")
    filled, same = run_student(own_store, *long)
    read, again = run_student(own_store, *long)
    assert live["teacher_forwards"] == 6 * 96
    assert 0 < filled["teacher_forwards"] < 6 * 96
    assert read["teacher_forwards"] == 0
    assert_same(same, expected)
    assert_same(again, expected)


@pytest.mark.parametrize("mode", ["true", "reduce-overhead"])
def test_a_compiled_student_with_taps_trains_as_the_plain_one(mode, own_store, exact_convolutions):
    torch.compiler.reset()
    plan = ("loss=attention", "epochs=1", "trainer.limit_train_batches=1")  # rounding grows tenfold and more in a step
    before = initial_network(gpu_plan(*plan).student).module.state_dict()
    _, plain = run_student(own_store, *plan)
    _, compiled = run_student(own_store, *plan, f"hardware.compile={mode}", "trainer.deterministic=false")
    assert_close_relative_to_movement(compiled, plain, before)


def assert_close_relative_to_movement(found, expected, before):
    for name, tensor in expected.items():
        moved = (tensor - before[name]).float().norm()
        assert (found[name] - tensor).float().norm() <= 2e-3 * moved, name


def test_bf16_mixed_trains_to_about_what_float32_does(own_store):
    long = ("epochs=4", "loss=response")
    full, _ = run_student(own_store, *long)
    half, tensors = run_student(own_store, *long, "hardware.precision=bf16-mixed")
    assert all(tensor.dtype != torch.bfloat16 for tensor in tensors.values())
    assert half["test/nll"] == pytest.approx(full["test/nll"], rel=0.1)
    assert half["test/nll"] != full["test/nll"]


def test_one_nccl_rank_ends_with_the_weights_of_one_process(tmp_path_factory):
    base = ("loss=crd", "model/student=small_cnn", "data.train_samples=90", "optimizer.lr=0.01", *GPU)
    one, two = (tmp_path_factory.mktemp(name) for name in ("process", "nccl"))
    plan = small_cnn_plan(*base)
    single = stage_in(one, plan, "student")
    ranked = small_cnn_plan(*base, "hardware=ddp", "hardware.threads=1", "trainer.devices=1", "trainer.accelerator=gpu")
    teachers = [Store(one).folder(teacher) for teacher, _ in plan.student.teachers]
    result = train_with_ranks(ranked.student, two, teachers, [], 1)
    before = initial_network(plan.student).module.state_dict()
    assert_close_relative_to_movement(weights(two), weights(single), before)
    assert result["test/accuracy"] == pytest.approx(
        json.loads((single / "result.json").read_text())["test/accuracy"], abs=0.5
    )


def test_two_stages_at_a_time_share_the_gpu_and_train_the_bits_of_one_at_a_time(tmp_path):
    several = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "hardware.jobs_per_gpu=2"]
    grid = [*TINY, *GPU, "loss.temperature=2,4,8", "epochs=4"]
    assert run(train, ["-m", *grid, f"paths.outputs={tmp_path}/one"]) == 0
    assert run(train, ["-m", *several, *grid, f"paths.outputs={tmp_path}/three"]) == 0
    one, three = (trained(tmp_path / name / "store") for name in ("one", "three"))
    assert len(one) == 5  # a teacher, a baseline, three students
    assert one.keys() == three.keys()
    for name, tensors in one.items():
        assert_same(three[name], tensors)
    slots = {path.name[-6] for path in (tmp_path / "three" / "store").glob("gpu-*.lock")}
    assert slots == {"0", "1"}


def trained(store):
    return {path.parent.name: weights(path.parent) for path in store.glob("*/student.safetensors")}

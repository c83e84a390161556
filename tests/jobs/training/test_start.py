"""Stages that start with the pruned network of another one: the same bits, new statistics, resumed exactly."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import kdlab
import kdlab.jobs.training.checkpointing
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.loop import train
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.start import starting_network
from kdlab.models.cost import parameter_count
from kdlab.models.saved import load_network, load_predictions
from kdlab.store.store import Store
from kdlab.tasks.base import task_of
from kdlab.tasks.predictions import predict
from tests.jobs.training.test_stage import Crash, CrashAt, assert_same_stage, stage_in
from tests.small import tiny_plan

PRUNED = ("plan=compress", "plan.prune.ratio=0.3", "plan.prune.round_to=1", "plan.prune.recalibration_samples=64")


def plan_of(*overrides):
    return tiny_plan(*PRUNED, "epochs=4", "model.student.kwargs.dropout=0.3", *overrides)


def stage_of(plan, name):
    return next(stage for stage in plan.stages if stage.name == name)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def plan():
    return plan_of()


@pytest.fixture(scope="module")
def unpruned(store, plan):
    return stage_in(store, plan, "unpruned")


@pytest.fixture(scope="module")
def pruned(store, plan):
    return stage_in(store, plan, "pruned")


def test_the_statistics_of_the_norms_are_those_of_the_first_training_images(plan, unpruned):
    network, stage = starting_network(plan.student, unpruned), stage_of(plan, "unpruned")
    data = make_data(stage.data)
    data.setup("fit")
    means, variances = [], []
    for images in data.training_inputs(data.batches(0)[:2]):
        maps = F.conv2d(network.prepare(images), network.module.conv1.weight, padding=1)
        means.append(maps.mean(dim=(0, 2, 3)))
        variances.append(maps.transpose(0, 1).flatten(1).var(dim=1))
    torch.testing.assert_close(network.module.bn1.running_mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.module.bn1.running_var, torch.stack(variances).mean(0), rtol=1e-4, atol=1e-5)
    assert network.module.bn1.momentum == load_network(unpruned).module.bn1.momentum
    assert network.training


def test_both_ways_to_recover_start_with_the_same_bits_and_learn_from_other_things(plan, unpruned):
    torch.rand(7)  # the state of the generator does not count
    one, other = (starting_network(stage_of(plan, name), unpruned) for name in ("pruned", "from_labels"))
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert one.pruned == other.pruned
    student, labels = stage_of(plan, "pruned"), stage_of(plan, "from_labels")
    assert list(labels.loss["terms"]) == ["ce"] and not labels.teachers
    assert [getattr(student, name) for name in ("epochs", "seed", "optimizer", "scheduler", "data")] == [
        getattr(labels, name) for name in ("epochs", "seed", "optimizer", "scheduler", "data")
    ]


def test_its_folder_has_the_pruned_network_bit_for_bit_and_its_cost(plan, unpruned, pruned):
    figures, before = (json.loads((folder / "result.json").read_text()) for folder in (pruned, unpruned))
    network = kdlab.load(pruned)
    data = make_data(plan.student.data)
    data.setup("test")
    logits, _ = predict(network, data.test_dataloader(), torch.device("cpu"), task_of(data))
    torch.testing.assert_close(logits, load_predictions(pruned)[0], rtol=0, atol=0)
    assert figures["params"] == parameter_count(network) < before["params"]
    assert figures["flops"] <= 0.7 * before["flops"]
    assert figures["size_bytes"] == (pruned / "student.safetensors").stat().st_size
    assert figures["sparsity"] == 0
    assert {path.name for path in plan.student.artifact(pruned).files} >= {"pruning.json", "student.safetensors"}


@pytest.fixture
def second_store(store, plan, quantised_plan, tmp_path, monkeypatch):
    """One with what the students start from and learn from, where training is saved after every step."""
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    for stage in {Store(store).folder(stage) for one in (plan, quantised_plan) for stage in one.student.needs}:
        (tmp_path / stage.name).symlink_to(stage)
    return tmp_path


@pytest.mark.parametrize("batches", [1, 4])  # of 2 epochs of 3
def test_a_crash_changes_no_bit_of_a_pruned_student(batches, plan, pruned, second_store):
    with pytest.raises(Crash):
        stage_in(second_store, plan, "pruned", [CrashAt(batches)])
    resumed = stage_in(second_store, plan, "pruned")
    assert_same_stage(resumed, pruned)
    assert (resumed / "pruning.json").read_bytes() == (pruned / "pruning.json").read_bytes()


def test_another_ratio_reuses_the_teacher_and_the_student(plan):
    other = plan_of("plan.prune.ratio=0.4")
    same = {
        stage.name: stage_fingerprint(stage) == stage_fingerprint(stage_of(other, stage.name)) for stage in plan.stages
    }
    assert same == {"teacher": True, "unpruned": True, "pruned": False, "from_labels": False}
    single = tiny_plan("epochs=4", "model.student.kwargs.dropout=0.3")
    assert stage_fingerprint(single.student) == stage_fingerprint(stage_of(plan, "unpruned"))


def test_every_setting_of_the_pruning_that_applies_changes_the_stage(plan):
    def fingerprints(changes, **settings):
        pruned = [replace(plan.student.start.change, **{**settings, **change}) for change in changes]
        starts = [replace(plan.student.start, change=pruning) for pruning in pruned]
        return {stage_fingerprint(replace(plan.student, start=start)) for start in starts}

    changes = [{}, {"round_to": 2}, {"importance": "random"}, {"ratio": 0.2}, {"recalibration_samples": 32}]
    assert len(fingerprints(changes)) == 5
    assert len(fingerprints(changes[:3], structured=False)) == 1
    assert len(fingerprints([{}, *changes[3:]], structured=False)) == 3


def test_a_step_prunes_the_network_of_the_step_before_and_both_are_kept_in_the_history(store):
    plan = plan_of("plan.prune.steps=2", "baseline=false", "plan.prune.ratio=0.44")
    first, second = (stage_in(store, plan, name) for name in ("pruned1", "pruned2"))
    histories = [json.loads((folder / "pruning.json").read_text())["history"] for folder in (first, second)]
    assert histories[1][: len(histories[0])] == histories[0] != histories[1]
    operations = [
        json.loads((stage_in(store, plan, name) / "result.json").read_text())["flops"]
        for name in ("unpruned", "pruned1", "pruned2")
    ]
    assert operations[1] <= 0.78 * operations[0] and operations[2] <= 0.56 * operations[0]
    assert operations[2] < operations[1]


def test_a_pruned_network_teaches_and_its_outputs_are_cached(store, plan, pruned):
    student = replace(tiny_plan("loss=feature").student, teachers=((plan.student, 1.0),))
    folder = Store(store).folder(student)
    folder.mkdir()
    Store(store).describe(student, student.settings)
    figures = train(student, folder, [pruned], cache_specs(student, store))
    assert figures["epochs"] == 2 and figures["teacher_forwards"] > 0


def test_masked_weights_stay_zero_and_nothing_becomes_smaller(store, unpruned):
    plan = plan_of("plan.prune.structured=false", "plan.prune.ratio=0.5")
    folder = stage_in(store, plan, "pruned")
    figures, before = (json.loads((one / "result.json").read_text()) for one in (folder, unpruned))
    assert {name: figures[name] for name in ("params", "flops", "size_bytes")} == {
        name: before[name] for name in ("params", "flops", "size_bytes")
    }
    weights = [one for one in load_network(folder).parameters() if one.ndim > 1]
    assert figures["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert all(int((one == 0).sum()) == round(0.5 * one.numel()) for one in weights)
    assert not (folder / "pruning.json").exists()


QUANTISED = ("plan=qat", "epochs=4", "plan.qat.epochs=2", "plan.qat.calibration_samples=64", "optimizer.lr=0.4")


@pytest.fixture(scope="module")
def quantised_plan():
    return tiny_plan(*QUANTISED)


@pytest.fixture(scope="module")
def quantised(store, quantised_plan):
    return stage_in(store, quantised_plan, "quantised")


def test_first_ranges_are_those_of_the_first_training_images(store, quantised_plan):
    folder = stage_in(store, quantised_plan, "float32")
    network, stage = starting_network(quantised_plan.student, folder), stage_of(quantised_plan, "float32")
    data = make_data(stage.data)
    data.setup("fit")
    least = most = None
    for images in data.training_inputs(data.batches(0)[:2]):  # batches of 32
        smallest, largest = network.prepare(images).aminmax()
        least = smallest if least is None else least + 0.01 * (smallest - least)
        most = largest if most is None else most + 0.01 * (largest - most)
    observer = network.module.graph.get_submodule("activation_post_process_0.activation_post_process")
    torch.testing.assert_close((observer.min_val, observer.max_val), (least, most), rtol=0, atol=0)
    assert network.training
    other = starting_network(stage_of(quantised_plan, "from_labels"), folder)
    torch.testing.assert_close(network.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_a_quantised_student_is_loaded_as_it_was_evaluated(quantised_plan, quantised):
    figures = json.loads((quantised / "result.json").read_text())
    network = kdlab.load(quantised)
    data = make_data(quantised_plan.student.data)
    data.setup("test")
    logits, _ = predict(network, data.test_dataloader(), torch.device("cpu"), task_of(data))
    torch.testing.assert_close(logits, load_predictions(quantised)[0], rtol=0, atol=0)
    assert figures["params"] == parameter_count(network) and "sparsity" not in figures
    files = {path.name for path in quantised_plan.student.artifact(quantised).files}
    assert files == {"quantisation.json", "student.safetensors", "config.yaml"}


@pytest.mark.parametrize("batches", [1, 4])  # of 2 epochs of 3
def test_a_crash_changes_no_bit_of_a_quantised_student(batches, quantised_plan, quantised, second_store):
    with pytest.raises(Crash):
        stage_in(second_store, quantised_plan, "quantised", [CrashAt(batches)])
    assert_same_stage(stage_in(second_store, quantised_plan, "quantised"), quantised)

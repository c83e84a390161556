"""The teacher cache: the same bits as computing at every step, and another folder for whatever changes outputs."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kdlab.data import Digits
from kdlab.jobs.cache_fill import CacheFill
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.identity import _data_properties as data_facts_of
from kdlab.jobs.training.identity import data_properties, stage_fingerprint
from kdlab.jobs.training.parts import make_data
from kdlab.runtime.executor import execute
from kdlab.store.store import Store
from kdlab.teachers.cache.fixed_batch import FixedBatch
from tests.small import tiny_plan

LONG = ("epochs=6", "data.padding=1")  # nine views: most samples recur in the same view


def ignore(event):
    """A listener that does nothing."""


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """A store with the tiny plans' teachers and an empty cache."""
    root = tmp_path_factory.mktemp("teachers")
    for overrides in ((), LONG):
        execute(tiny_plan(*overrides).stages[:1], Store(root), ignore)
    return root


@pytest.fixture
def store(teachers, tmp_path):
    shutil.copytree(teachers, tmp_path / "store")
    return Store(tmp_path / "store")


def run(store, *overrides):
    """The student's result, without a baseline; a teacher that is not in the store is trained first."""
    plan = tiny_plan("baseline=false", *overrides)
    execute(plan.stages, store, ignore)
    return Store(store.root).result(plan.student)  # a new store: it caches each result that it reads


def student_folder(store, *overrides):
    return store.folder(tiny_plan(*overrides).student)


def weights(store, *overrides):
    return safetensors.torch.load_file(student_folder(store, *overrides) / "student.safetensors")


def delete_student(store, *overrides):
    shutil.rmtree(student_folder(store, *overrides))


def caches(store):
    return sorted(path.parent.name for path in (store.root / "cache").glob("*/about.json"))


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def distinct_visits(*overrides):
    """The pairs that the data module yields, independent of the cache."""
    stage = tiny_plan(*overrides).student
    data = make_data(stage.data)
    data.setup()
    loader = data.train_dataloader()
    batches = [batch for epoch in range(stage.epochs) for batch in loader.draw(epoch, 0)]
    return {pair for batch in batches for pair in zip(batch.index.tolist(), batch.view.tolist(), strict=True)}


def test_reading_gives_the_bits_of_computing_at_every_step(store):
    computed = run(store, *LONG, "cache.enabled=false")
    before = weights(store, *LONG)
    assert (computed["teacher_forwards"], computed["teacher_recalls"]) == (6 * 96, 0)
    delete_student(store, *LONG)
    filled = run(store, *LONG)
    assert filled["teacher_forwards"] == len(distinct_visits(*LONG)) < 6 * 96
    assert_same(weights(store, *LONG), before)
    delete_student(store, *LONG)
    read = run(store, *LONG)
    assert (read["teacher_forwards"], read["teacher_recalls"]) == (0, 6 * 96)
    assert_same(weights(store, *LONG), before)


def test_a_sweep_computes_each_image_in_each_view_once(store):
    cells = [("loss.temperature=2",), ("loss.alpha=0.3",), ("seed=1",), ("plan.student.data.batch_size=31",)]
    forwards = [run(store, *LONG, *cell)["teacher_forwards"] for cell in cells]
    assert forwards == [len(distinct_visits(*LONG)), 0, 0, 0]
    assert len(caches(store)) == 1


def test_a_teacher_whose_outputs_are_all_stored_is_never_loaded(store, monkeypatch):
    run(store)
    delete_student(store)
    monkeypatch.setattr("kdlab.jobs.training.preparation.load_network", lambda *given, **named: pytest.fail("loaded"))
    run(store)


def test_batches_are_full_while_samples_are_upcoming(store, monkeypatch):
    sizes, compute = [], FixedBatch.__call__
    monkeypatch.setattr(FixedBatch, "__call__", lambda self, inputs: sizes.append(len(inputs)) or compute(self, inputs))
    run(store, *LONG)
    assert sizes[:3] == [32, 32, 32]  # the shapes of the outputs, and the check that they do not depend on the position
    assert sum(sizes[3:]) == len(distinct_visits(*LONG))
    assert len([size for size in sizes if size < 32]) <= 6  # the last of an epoch


def test_a_cache_that_was_filled_before_has_only_hits(store):
    stage = tiny_plan(*LONG).student
    filled = fill_cache(stage, store)
    assert filled["complete"] and filled["computed"] == filled["stored"] == len(distinct_visits(*LONG))
    assert run(store, *LONG)["teacher_forwards"] == 0
    again = fill_cache(stage, store)
    assert (again["computed"], again["stored"]) == (0, filled["stored"])


def fill_cache(stage, store):
    """The result of filling the cache of its only teacher."""
    folder = store.folder(CacheFill(stage))
    (found,) = CacheFill(stage).run(folder, [store.folder(teacher) for teacher in stage.needs], ignore)["teachers"]
    return found


@pytest.mark.parametrize(
    "override",
    [
        "data.padding=2",
        "data.image_size=16",
        "data.flip=true",
        "model.teacher.mean=[0.1,0.1,0.1]",
        "model.teacher.image_size=24",
        "model.teacher.kwargs.widths=[4,4,8,4]",
        "hardware.channels_last=false",
        "hardware.threads=2",
        "data.batch_size=48",
        "cache.dtype=float16",
        "cache.top_k=3",
    ],
)
def test_settings_that_change_outputs_change_the_folder(override, store):
    assert cache_folder(store) != cache_folder(store, override)


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "loss.temperature=2",
        "loss=dkd",
        "model.student.kwargs.widths=[4,4,4,4]",
        "model.student.mean=[0.1,0.1,0.1]",
        "optimizer.lr=0.01",
        "data.view_seed=3",
        "data.train_samples=64",
        "data.labelled_fraction=0.5",
        "data.val_fraction=0.2",
        "data.batch_size=30",
        "cache.max_gb=1",
    ],
)
def test_settings_that_keep_outputs_keep_the_folder(override, store):
    assert cache_folder(store) == cache_folder(store, override)


def cache_folder(store, *overrides):
    """The cache folder of a teacher with fixed weights, under any other overrides."""
    stage = tiny_plan(*overrides).student
    folder = store.folder(stage.teachers[0][0])
    folder.mkdir(exist_ok=True)
    (folder / "student.safetensors").write_bytes(b"weights")
    (found,) = cache_specs(stage, store.root)
    return found.folder


def test_other_weights_have_another_cache_folder(store):
    stage = tiny_plan().student
    (before,) = cache_specs(stage, store.root)
    path = store.folder(stage.teachers[0][0]) / "student.safetensors"
    tensors = safetensors.torch.load_file(path)
    next(tensor for tensor in tensors.values() if tensor.is_floating_point()).view(-1)[0] += 1e-3
    safetensors.torch.save_file(tensors, path)
    (after,) = cache_specs(stage, store.root)
    assert before.folder != after.folder


def test_storing_changes_no_fingerprint_and_rounding_does():
    plain = stage_fingerprint(tiny_plan().student)
    assert stage_fingerprint(tiny_plan("cache.enabled=false", "cache.max_gb=1").student) == plain
    assert stage_fingerprint(tiny_plan("cache.dtype=float16").student) != plain
    assert stage_fingerprint(tiny_plan("cache.dtype=float16").baseline) == stage_fingerprint(tiny_plan().baseline)


@pytest.mark.parametrize("override", ["cache.dtype=float16", "cache.top_k=3"])
def test_rounding_is_the_same_with_and_without_the_cache(override, store):
    run(store, override)
    stored = weights(store, override)
    delete_student(store, override)
    run(store, override, "cache.enabled=false")
    assert_same(weights(store, override), stored)
    run(store)
    assert any(not torch.equal(stored[name], tensor) for name, tensor in weights(store).items())


def test_damaged_rows_are_computed_again(store):
    run(store, *LONG)
    before = weights(store, *LONG)
    (rows,) = (store.root / "cache").glob("*/rows.bin")
    content = bytearray(rows.read_bytes())
    content[::500] = bytes(value ^ 1 for value in content[::500])
    rows.write_bytes(bytes(content))
    delete_student(store, *LONG)
    assert run(store, *LONG)["teacher_forwards"] > 0
    assert_same(weights(store, *LONG), before)


def test_a_full_cache_warns_once_and_the_rest_is_computed(store, caplog):
    run(store)
    before = weights(store)
    delete_student(store)
    shutil.rmtree(store.root / "cache")
    assert run(store, "cache.max_gb=2e-5")["teacher_forwards"] == 2 * 96
    assert "cache.max_gb" in caplog.text and caplog.text.count("is full") == 1
    assert_same(weights(store), before)


def test_vectors_are_stored_and_maps_are_not(store):
    run(store, *LONG)
    for loss in ("loss=rkd", "loss=relation"):  # vectors only, and with logits
        assert run(store, loss, *LONG)["teacher_forwards"] == len(distinct_visits(*LONG))
    assert len(caches(store)) == 3
    result = run(store, "loss=attention")
    assert (result["teacher_recalls"], result["teacher_forwards"]) == (0, 2 * 96)
    assert len(caches(store)) == 3


def test_a_transfer_set_is_stored_by_its_own_samples(store):
    overrides = ("data@transfer=digits", "transfer.train_samples=64", *LONG)
    assert run(store, *overrides)["teacher_forwards"] == len(distinct_visits(*overrides))
    (about,) = (store.root / "cache").glob("*/about.json")
    assert json.loads(about.read_text())["depends_on"]["pixels"]["set"] == "Digits"


def test_a_data_set_of_the_users_is_cached_if_it_declares_its_pixels(store, monkeypatch):
    class Mine(Digits):
        """Its augmentation may be anything."""

    class Declared(Mine):
        def pixels(self):
            return {**super().pixels(), "mine": 1}

    for kind, cached in ((Mine, False), (Declared, True)):
        kind.__module__ = "theirs"
        monkeypatch.setattr("kdlab.data.Digits", kind)
        data_facts_of.cache_clear()
        stage = tiny_plan("data.view_seed=9").student
        facts = data_properties(stage.data)
        assert (facts.pixels is not None) == cached
    data_facts_of.cache_clear()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed in /proc")
def test_no_file_stays_open(store):
    run(store)
    still_open = [path.resolve() for path in Path("/proc/self/fd").iterdir()]
    assert not [path for path in still_open if path.is_relative_to(store.root.resolve())]


def test_two_teachers_have_separate_folders(store):
    second = ("model/teacher@model.teachers.second=resnet8", "+model.teachers.second.kwargs.widths=[4,4,4,4]")
    result = run(store, *second, "model.teachers.second.train.epochs=1")
    assert len(caches(store)) == 2
    assert result["teacher_forwards"] == 2 * len(distinct_visits())

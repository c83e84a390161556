"""What a stage's fingerprint depends on, and what it does not depend on."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kdlab.jobs.training.identity import _data, data_properties, stage_fingerprint, stage_parts
from kdlab.store.source import own_file
from kdlab.store.versions import VERSIONS
from tests.small import QUICK, tiny_plan

ROOT = Path(__file__).resolve().parents[3]


def fingerprints(*overrides):
    return {stage.name: stage_fingerprint(stage) for stage in tiny_plan(*overrides).stages}


@cache
def base_fingerprints(*overrides):
    return fingerprints(*overrides)


def changed(*overrides, base=()):
    before, after = base_fingerprints(*base), fingerprints(*base, *overrides)
    return {name for name in before if before[name] != after[name]}


def test_a_file_is_left_out_only_where_its_content_is_hashed():
    own = {"_target_": "lightning.pytorch.LightningDataModule", "file": "a.csv"}
    arrays = {"_target_": "kdlab.data.NpzImages", "file": "a.npz", "padding": 2}
    nested = {"_target_": "kdlab.data.Transfer", "of": own, "images": arrays}
    assert _data(own) == own
    assert _data(arrays) == {"_target_": "kdlab.data.NpzImages", "padding": 2}
    assert _data(nested)["images"] == _data(arrays) and _data(nested)["of"] == own


def test_arrays_that_are_written_anew_are_read_anew_also_as_a_transfer_set(tmp_path):
    settings = {"_target_": "kdlab.data.NpzImages", "file": str(tmp_path / "mine.npz"), "seed": 0}
    of = {"_target_": "kdlab.data.Digits", "image_size": 8, "seed": 0}
    transfer = {"_target_": "kdlab.data.Transfer", "of": of, "images": settings, "seed": 0}
    found = []
    for level in (0, 1):
        images, labels = np.full((20, 8, 8), level, np.uint8), np.arange(20) % 10
        lists = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
        np.savez(tmp_path / "mine.npz", **lists)
        found += [data_properties(settings).digest, data_properties(transfer).digest]
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("seed=1", {"baseline", "student"}),
        ("model.teacher.train.seed=1", {"teacher", "student"}),
        ("optimizer.lr=0.03", {"baseline", "student"}),
        ("model.teacher.train.optimizer.lr=0.03", {"teacher", "student"}),
        ("scheduler.pct_start=0.5", {"baseline", "student"}),
        ("optimizer=adamw", {"baseline", "student"}),
        ("epochs=3", {"baseline", "student"}),
        ("loss.temperature=2", {"student"}),
        ("loss.alpha=0.5", {"student"}),
        ("loss.terms.response_kd.weight=2", {"student"}),
        ("model.teacher.kwargs.widths=[4,4,8,4]", {"teacher", "student"}),
        ("model.student.kwargs.widths=[4,4,4,4]", {"baseline", "student"}),
        ("plan.baseline.epochs=5", {"baseline"}),
        ("plan.teacher.seed=5", {"teacher", "student"}),
        ("data.view_seed=1", {"teacher", "baseline", "student"}),
        ("data.val_fraction=0.2", {"teacher", "baseline", "student"}),
        ("data.padding=2", {"teacher", "baseline", "student"}),
        ("hardware.threads=2", {"teacher", "baseline", "student"}),
        ("hardware.precision=bf16-mixed", {"teacher", "baseline", "student"}),
        ("hardware.compile=true", {"teacher", "baseline", "student"}),
        ("hardware.fused=true", {"teacher", "baseline", "student"}),
        ("hardware.teacher_precision=bfloat16", {"student"}),
        ("hardware.teacher_precision=float16", {"student"}),
        ("hardware.teacher_device=cpu", set()),
        ("data.mixup=0", set()),
        ("data.mixup=0.2", {"teacher", "baseline", "student"}),
        ("data.randaugment=9", {"teacher", "baseline", "student"}),
        ("hardware.teacher_device=cuda", {"student"}),
        ("trainer.gradient_clip_val=1.0", {"teacher", "baseline", "student"}),
        ("trainer.devices=2", {"teacher", "baseline", "student"}),
        ("callbacks=early_stopping", {"teacher", "baseline", "student"}),
    ],
)
def test_a_change_reaches_exactly_the_stages_that_depend_on_it(override, stages):
    assert changed(override) == stages


@pytest.mark.parametrize(("native", "stages"), [(True, {"student"}), (False, set())])
def test_a_precision_of_auto_counts_as_the_precision_that_it_resolves_to(native, stages, monkeypatch):
    monkeypatch.setattr("kdlab.teachers.precision._computes_bfloat16", lambda device: native)
    assert changed("hardware.teacher_precision=auto") == stages


@pytest.mark.parametrize(
    "override",
    [
        "paths.outputs=elsewhere",
        "paths.store=elsewhere",
        "paths.data=elsewhere",
        "logger=wandb",
        "logger=[wandb,csv]",
        "tags=[one]",
        "name=another",
        "loss.temperature=4",
        "loss.temperature=4.0",
        "optimizer.lr=1e-1",
        "data.eval_batch_size=8",
        "trainer.log_every_n_steps=5",
        "hardware.jobs_per_gpu=2",
        "loss.terms.ce.weight=0.3",
    ],
)
def test_settings_that_change_no_result_change_no_fingerprint(override):
    assert changed(override) == set()


def test_the_old_name_of_a_class_changes_no_fingerprint():
    assert changed("loss._target_=kdlab.methods.SelfDistillation", base=["loss=mean_teacher"]) == set()


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("model.teacher.taps.mid=layer1", {"student"}),
        ("model.student.taps.mid=layer1", {"student"}),
        ("model.teacher.taps.high=layer2", set()),
        ("model.student.taps.high=layer2", set()),
        ("model.teacher.taps.new=layer2", set()),
        ("loss.terms.hint.teacher_taps=[low]", {"student"}),
    ],
)
def test_a_tap_belongs_to_the_student_whose_loss_reads_it(override, stages):
    assert changed(override, base=["loss=hint"]) == stages


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("model.teacher.kwargs.widths=[4,4,8,4]", {"student"}),
        ("model.teacher.image_size=16", {"student"}),
        ("model.teacher.taps.mid=layer1", {"student"}),
        ("model.teacher.taps.high=layer2", set()),
        ("model.teacher.train.epochs=5", set()),  # a peer has the student's recipe
        ("model.teacher.train.seed=5", set()),
    ],
)
def test_a_peer_belongs_to_the_stage_of_its_student(override, stages):
    assert changed(override, base=["loss=mutual", "loss.terms.hint={taps:[mid],adapter:student}"]) == stages


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("loss.terms.rkd_distance.taps=[high]", set()),
        ("loss.terms.hint={taps:[low],weight:0}", set()),
        ("model.teacher.taps.embedding=layer3", set()),  # of the roles that rkd_distance alone would read
        ("loss.terms.rkd_distance.weight=25", {"student"}),
    ],
)
def test_a_term_of_weight_0_changes_no_fingerprint(override, stages):
    assert changed(override, base=["loss=feature"]) == stages


def raised(monkeypatch, component, *overrides):
    """The stages whose fingerprints change when a component's version is raised."""
    before = fingerprints(*overrides)
    monkeypatch.setitem(VERSIONS, component, VERSIONS[component] + 1)
    after = fingerprints(*overrides)
    return {name for name in before if before[name] != after[name]}


EVERY = {"teacher", "baseline", "student"}


@pytest.mark.parametrize(
    ("component", "stages"),
    [
        ("losses.response", {"student"}),
        ("methods.teacher_student", {"student"}),
        ("methods.soft_targets", {"student"}),  # a base of the method
        ("teachers", {"student"}),
        ("cache", {"student"}),
        ("losses.labels", EVERY),
        ("training", EVERY),
        ("evaluation", EVERY),
        ("networks", EVERY),
        ("views", EVERY),
        ("data.digits", EVERY),
        ("models.resnet", EVERY),
        ("models.vgg", set()),
        ("data.folder", set()),
        ("losses.dkd", set()),
        ("methods.progressive", set()),
        ("adapters", set()),
    ],
)
def test_a_raised_version_reaches_exactly_the_stages_that_run_it(component, stages, monkeypatch):
    assert raised(monkeypatch, component) == stages


@pytest.mark.parametrize(
    ("overrides", "component", "stages"),
    [
        (["loss=feature", "loss.terms.rkd_distance.weight=0"], "losses.relation", set()),
        (["loss=feature", "loss.terms.rkd_distance.weight=25"], "losses.relation", {"student"}),
        (["loss=hint"], "adapters", {"student"}),
        (["loss=mutual", "model/teacher=small_cnn"], "models.small_cnn", {"student"}),  # its peer
        (["loss=mutual"], "teachers", set()),
        (["model/teacher=small_cnn"], "models.small_cnn", {"teacher", "student"}),  # the student through its teacher
        (["model/student=small_cnn"], "models.small_cnn", {"baseline", "student"}),
        (["data@transfer=digits"], "data.transfer", {"student"}),
    ],
)
def test_the_components_of_a_stage_follow_from_its_settings(overrides, component, stages, monkeypatch):
    monkeypatch.setattr("tests.small.TINY", QUICK)
    assert raised(monkeypatch, component, *overrides) == stages


def test_stages_without_user_code_have_versions_and_no_source():
    teacher, baseline, student = (stage_parts(stage) for stage in tiny_plan().stages)
    common = {"data.digits", "evaluation", "losses.labels", "models.resnet", "networks", "training", "views"}
    more = {"cache", "losses.response", "methods.soft_targets", "methods.teacher_student", "teachers"}
    assert teacher["versions"] == baseline["versions"] == dict.fromkeys(common, 1)
    assert student["versions"] == dict.fromkeys(common | more, 1)
    assert [parts["source"] for parts in (teacher, baseline, student)] == [None] * 3


def test_an_edited_text_and_a_new_network_change_no_fingerprint(tmp_path):
    """In an edited copy of kdlab, in a new process."""
    for folder in ("kdlab", "conf", "sweeps", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    _edit(tmp_path / "kdlab")
    importing = "from tests.jobs.training.test_identity import fingerprints"
    code = f"import kdlab; {importing}; print(kdlab.__file__, sorted(fingerprints().items()))"
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}}
    run = subprocess.run([sys.executable, "-c", code], **options, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == f"{tmp_path / 'kdlab' / '__init__.py'} {sorted(fingerprints().items())}"


NEW_FUNCTION = """

def added() -> None:
    'Nobody calls it.'
    raise ValueError("new")
"""
NEW_NETWORK = """
from torch import nn


class Tiny(nn.Linear):
    pass
"""


def _edit(package):
    for path in package.rglob("*.py"):
        path.write_text(path.read_text() + NEW_FUNCTION)
    base = package / "methods" / "base.py"
    assert "The loss is not finite" in base.read_text()
    base.write_text(base.read_text().replace("The loss is not finite", "The loss diverged"))
    (package / "models" / "tiny.py").write_text(NEW_NETWORK)
    cifar = package / "models" / "cifar.py"
    cifar.write_text(
        f"{cifar.read_text()}\nfrom kdlab.models.tiny import Tiny\n\ntiny = Tiny\n__all__.append('tiny')\n"
    )


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's own loss, helper and data set; the loss imports the helper."""
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "loss.py").write_text(
        "from kdlab.losses import dkd\nfrom mylab.helper import scale\n\n"
        "def mine(student, teacher):\n    return scale(student - teacher)\n"
    )
    (tmp_path / "mylab" / "helper.py").write_text("def scale(x):\n    return x.square().mean()\n")
    (tmp_path / "mylab" / "data.py").write_text("from kdlab.data import Digits\n\nclass Mine(Digits):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mylab"
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]
    own_file.cache_clear()


LOSS = "loss.terms.mine={_target_:mylab.loss.mine}"
DATA = "data._target_=mylab.data.Mine"


@pytest.mark.parametrize(
    ("override", "file", "stages"),
    [
        (LOSS, "loss.py", {"student"}),
        (LOSS, "helper.py", {"student"}),
        (LOSS, "data.py", set()),
        (DATA, "data.py", EVERY),
    ],
)
def test_the_users_own_code_counts_by_its_source(override, file, stages, mine):
    before = fingerprints(override)
    text = (mine / file).read_text()
    (mine / file).write_text(f'"""A comment."""\n# and another\n{text}')
    assert fingerprints(override) == before
    (mine / file).write_text(f"{text}\nedited = True\n")
    after = fingerprints(override)
    assert {name for name in before if before[name] != after[name]} == stages


@pytest.mark.parametrize(
    ("override", "component", "stages"),
    [(LOSS, "losses.dkd", {"student"}), (DATA, "data.digits", EVERY), (DATA, "views", EVERY)],
)
def test_what_the_users_own_code_imports_from_kdlab_counts_by_its_version(
    override, component, stages, mine, monkeypatch
):
    assert raised(monkeypatch, component, override) == stages


def test_a_checkpoint_counts_by_content_and_not_by_path(tmp_path):
    import torch

    from kdlab.models.cifar import resnet8

    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        torch.manual_seed(seed)
        state = resnet8(10, widths=[4, 4, 8, 8]).state_dict()
        torch.save(state, tmp_path / "same")
        path.write_bytes((tmp_path / "same").read_bytes())
    one, other_path, other_content = (fingerprints(f"model.teacher.checkpoint={path}") for path in paths)
    assert one == other_path
    assert one["teacher"] != other_content["teacher"]
    assert one["baseline"] == other_content["baseline"]
    other_recipe = ("model.teacher.train.optimizer.lr=0.5", "model.teacher.train.seed=3", "scheduler=cosine")
    assert fingerprints(f"model.teacher.checkpoint={paths[0]}", *other_recipe)["teacher"] == one["teacher"]


@pytest.mark.parametrize(
    ("component", "changes"), [("training", False), ("losses.labels", False), ("evaluation", True)]
)
def test_a_network_with_given_weights_runs_no_training(component, changes, tmp_path, monkeypatch):
    import torch

    from kdlab.models.cifar import resnet8

    torch.save(resnet8(10, widths=[4, 4, 8, 8]).state_dict(), tmp_path / "a.pt")
    assert ("teacher" in raised(monkeypatch, component, f"model.teacher.checkpoint={tmp_path / 'a.pt'}")) == changes

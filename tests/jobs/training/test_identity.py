"""What a stage's fingerprint depends on, and what it does not."""

from functools import cache

import pytest

import kdlab.store.source
from kdlab.jobs.training.identity import stage_fingerprint
from tests.small import tiny_plan


def prints(*overrides):
    return {stage.name: stage_fingerprint(stage) for stage in tiny_plan(*overrides).stages}


@cache
def unchanged(*overrides):
    return prints(*overrides)


def changed(*overrides, base=()):
    before, after = unchanged(*base), prints(*base, *overrides)
    return {name for name in before if before[name] != after[name]}


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
        ("trainer.gradient_clip_val=1.0", {"teacher", "baseline", "student"}),
        ("trainer.devices=2", {"teacher", "baseline", "student"}),
        ("callbacks=early_stopping", {"teacher", "baseline", "student"}),
    ],
)
def test_a_change_reaches_exactly_the_stages_that_depend_on_it(override, stages):
    assert changed(override) == stages


@pytest.mark.parametrize(("native", "stages"), [(True, {"student"}), (False, set())])
def test_a_precision_that_the_processor_chooses_counts_as_what_it_became(native, stages, monkeypatch):
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
def test_what_computes_the_same_is_the_same(override):
    assert changed(override) == set()


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
    assert changed(override, base=["loss=fitnet"]) == stages


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("model.teacher.kwargs.widths=[4,4,8,4]", {"student"}),
        ("model.teacher.image_size=16", {"student"}),
        ("model.teacher.taps.mid=layer1", {"student"}),
        ("model.teacher.taps.high=layer2", set()),
        ("model.teacher.train.epochs=5", set()),  # a peer follows the student's recipe
        ("model.teacher.train.seed=5", set()),
    ],
)
def test_a_network_that_learns_beside_the_student_belongs_to_its_stage(override, stages):
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
def test_a_term_of_weight_0_is_as_if_it_were_not_there(override, stages):
    assert changed(override, base=["loss=feature"]) == stages


def edited(monkeypatch, module, change):
    """The source of one module as if it had been edited."""
    original = kdlab.store.source._normalised
    monkeypatch.setattr(
        kdlab.store.source,
        "_normalised",
        lambda path: change(original(path)) if path == kdlab.store.source._origin(module) else original(path),
    )


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("kdlab.losses.response", {"student"}),
        ("kdlab.methods.teacher_student", {"student"}),
        ("kdlab.losses.labels", {"teacher", "baseline", "student"}),
        ("kdlab.jobs.training.stage", {"teacher", "baseline", "student"}),
        ("kdlab.data.image.views", {"teacher", "baseline", "student"}),
        ("kdlab.screen.run", set()),
        ("kdlab.tracking.wandb", set()),
        ("kdlab.sweeps.cli", set()),
    ],
)
def test_an_edited_line_reaches_exactly_the_stages_that_run_it(module, stages, monkeypatch):
    before = prints()
    edited(monkeypatch, module, lambda source: source + "\nedited = True")
    after = prints()
    assert {name for name in before if before[name] != after[name]} == stages


@pytest.mark.parametrize(("weight", "stages"), [(0, set()), (25, {"student"})])
def test_the_code_of_a_term_counts_with_its_weight(weight, stages, monkeypatch):
    base = ["loss=feature", f"loss.terms.rkd_distance.weight={weight}"]
    before = prints(*base)
    edited(monkeypatch, "kdlab.losses.relation", lambda source: source + "\nedited = True")
    after = prints(*base)
    assert {name for name in before if before[name] != after[name]} == stages


def test_a_checkpoint_counts_by_content_and_not_by_path(tmp_path):
    import torch

    from kdlab.models.cifar import resnet8

    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        torch.manual_seed(seed)
        state = resnet8(10, widths=[4, 4, 8, 8]).state_dict()
        torch.save(state, tmp_path / "same")
        path.write_bytes((tmp_path / "same").read_bytes())
    one, other_path, other_content = (prints(f"model.teacher.checkpoint={path}") for path in paths)
    assert one == other_path
    assert one["teacher"] != other_content["teacher"]
    assert one["baseline"] == other_content["baseline"]
    other_recipe = ("model.teacher.train.optimizer.lr=0.5", "model.teacher.train.seed=3", "scheduler=cosine")
    assert prints(f"model.teacher.checkpoint={paths[0]}", *other_recipe)["teacher"] == one["teacher"]

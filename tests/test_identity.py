"""What a stage's fingerprint depends on, and what it does not."""

import pytest

import kdlab.source
from kdlab.identity import stage_fingerprint
from tests.small import tiny_plan


def prints(*overrides):
    return {stage.name: stage_fingerprint(stage) for stage in tiny_plan(*overrides).stages}


def changed(*overrides):
    before, after = prints(), prints(*overrides)
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
        ("trainer.gradient_clip_val=1.0", {"teacher", "baseline", "student"}),
        ("trainer.devices=2", {"teacher", "baseline", "student"}),
        ("callbacks=early_stopping", {"teacher", "baseline", "student"}),
    ],
)
def test_a_change_reaches_exactly_the_stages_that_depend_on_it(override, stages):
    assert changed(override) == stages


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
        "loss.terms.ce.weight=0.3",
    ],
)
def test_what_computes_the_same_is_the_same(override):
    assert changed(override) == set()


def edited(monkeypatch, module, change):
    """The source of one module as if it had been edited."""
    original = kdlab.source._normalised
    monkeypatch.setattr(
        kdlab.source,
        "_normalised",
        lambda path: change(original(path)) if path == kdlab.source._origin(module) else original(path),
    )


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("kdlab.losses.response", {"student"}),
        ("kdlab.methods.teacher_student", {"student"}),
        ("kdlab.losses.labels", {"teacher", "baseline", "student"}),
        ("kdlab.stage", {"teacher", "baseline", "student"}),
        ("kdlab.data.views", {"teacher", "baseline", "student"}),
        ("kdlab.screen", set()),
        ("kdlab.tracking", set()),
        ("kdlab.cli", set()),
    ],
)
def test_an_edited_line_reaches_exactly_the_stages_that_run_it(module, stages, monkeypatch):
    before = prints()
    edited(monkeypatch, module, lambda source: source + "\nedited = True")
    after = prints()
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

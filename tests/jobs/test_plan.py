import pytest

from kdlab.errors import BadInput
from tests.small import tiny_plan


def test_single_trains_a_teacher_a_baseline_and_a_student():
    plan = tiny_plan()
    assert [stage.name for stage in plan.stages] == ["teacher", "baseline", "student"]
    assert plan.student.teachers == ((plan.teacher, 1.0),)
    assert plan.baseline.teachers == ()
    same = ("network", "data", "epochs", "seed", "optimizer", "scheduler")
    assert all(getattr(plan.baseline, name) == getattr(plan.student, name) for name in same)


def test_there_is_no_baseline_with_baseline_false():
    assert [stage.name for stage in tiny_plan("baseline=false").stages] == ["teacher", "student"]


def test_a_loss_without_a_teacher_trains_the_student_only():
    assert [stage.name for stage in tiny_plan("loss=ce").stages] == ["student"]
    assert [stage.name for stage in tiny_plan("loss.alpha=0").stages] == ["student"]


def test_a_teacher_has_its_own_recipe_and_schedulers_use_the_epochs_of_their_stage():
    plan = tiny_plan("epochs=7", "model.teacher.train.epochs=3", "optimizer.lr=0.5", "scheduler=cosine")
    assert (plan.teacher.epochs, plan.student.epochs, plan.teacher.seed) == (3, 7, 0)
    assert plan.student.scheduler["T_max"] == 7
    assert plan.teacher.scheduler["max_lr"] == plan.teacher.optimizer["lr"] == 0.1
    assert tiny_plan("scheduler=cosine", "plan.student.epochs=9").student.scheduler["T_max"] == 9


def test_choosing_another_optimizer_brings_its_own_arguments():
    optimizer = tiny_plan("optimizer=adamw").student.optimizer
    assert "momentum" not in optimizer
    assert "betas" in optimizer


def test_a_stage_takes_overrides_of_its_own():
    plan = tiny_plan("plan.baseline.optimizer.lr=0.01", "plan.baseline.epochs=9")
    assert (plan.baseline.optimizer["lr"], plan.baseline.epochs) == (0.01, 9)
    assert (plan.student.optimizer["lr"], plan.student.epochs) == (0.1, 2)


def test_the_order_of_samples_follows_the_seed_of_the_stage():
    plan = tiny_plan("seed=3")
    assert (plan.student.data["seed"], plan.baseline.data["seed"], plan.teacher.data["seed"]) == (3, 3, 0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=0", "epochs must be a whole number, 1 or more; got 0"),
        ("epochs=2.5", "epochs must be a whole number, 1 or more; got 2.5"),
        ("seed=-1", "seed must be a whole number, 0 or more; got -1"),
        ("plan.student.epocs=3", r"plan\.student\.epocs is not a setting, got 3.*Did you mean plan\.student\.epochs"),
        ("plan.teacher.epochs=x", r"plan\.teacher\.epochs must be a whole number"),
        ("loss.temperature=0", r"loss\.temperature must be above 0, got 0"),
        ("loss.alpha=-0.1", r"loss\.alpha must lie in \[0, 1\].*got -0.1"),
    ],
)
def test_refuses_values_out_of_their_range(override, message):
    with pytest.raises(BadInput, match=message):
        tiny_plan(override)


def test_a_teacher_has_one_source_of_weights():
    with pytest.raises(
        BadInput, match=r"pretrained and model\.teacher\.checkpoint both name weights, got true and x\.pt"
    ):
        tiny_plan("model/teacher=resnet18", "model.teacher.pretrained=true", "model.teacher.checkpoint=x.pt")


def test_a_pretrained_network_with_a_new_head_is_fine_tuned_and_one_without_is_used_as_it_is(monkeypatch):
    plan = tiny_plan("model/teacher=resnet18", "model.teacher.pretrained=true")
    assert plan.teacher.epochs == 1
    monkeypatch.setattr("kdlab.jobs.stages.pretrained_classes", lambda source, name: 10)
    assert tiny_plan("model/teacher=resnet18", "model.teacher.pretrained=true").teacher.epochs == 0

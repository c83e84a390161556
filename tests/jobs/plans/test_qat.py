import copy

import pytest

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.training.identity import stage_fingerprint
from tests.jobs.plans.test_compress import described, names
from tests.small import TINY, tiny_plan


def qat(*overrides):
    return tiny_plan("plan=qat", *overrides)


def test_the_student_is_distilled_then_quantised_and_learns_under_the_teacher_or_from_labels():
    plan = qat("epochs=8")
    assert described(plan) == {
        "teacher": ([], None, 1),
        "float32": (["teacher"], None, 8),
        "from_labels": ([], "float32", 2),
        "quantised": (["teacher"], "float32", 2),
    }
    roles = {role: stage.name for role, stage in plan.by_role().items()}
    assert roles == {"teacher": "teacher", "baseline": "from_labels", "student": "quantised"}
    assert names(step.stage for step in plan.steps) == ["float32", "quantised"]
    assert stage_fingerprint(plan.steps[0].stage) == stage_fingerprint(tiny_plan("epochs=8").student)


def test_the_teacher_may_be_quantised_and_teach_its_quantised_self():
    plan = qat("plan.qat.of=teacher", "plan.qat.epochs=3")
    assert described(plan) == {
        "teacher": ([], None, 1),
        "from_labels": ([], "teacher", 3),
        "quantised": (["teacher"], "teacher", 3),
    }


def test_without_a_baseline_nothing_learns_from_labels_and_the_shortest_run_has_one_epoch():
    plan = qat("baseline=false")
    assert names(plan.stages) == ["teacher", "float32", "quantised"]
    assert (plan.baseline, plan.student.epochs) == (None, 1)


def test_the_learning_rate_is_a_thousandth_of_the_runs_also_in_the_schedule():
    plan = qat("optimizer.lr=0.4")
    for stage in (plan.student, plan.baseline):
        assert stage.optimizer["lr"] == stage.scheduler["max_lr"] == pytest.approx(0.0004)


def test_other_calibration_samples_are_another_stage():
    one, other = qat(), qat("plan.qat.calibration_samples=64")
    same = {name: stage_fingerprint(stage) for name, stage in one.by_role().items()}
    others = {name: stage_fingerprint(stage) for name, stage in other.by_role().items()}
    assert {name: same[name] == others[name] for name in same} == {"teacher": True, "baseline": False, "student": False}


@pytest.fixture(scope="module")
def config():
    return compose_config([*TINY, "plan=qat"])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("of", "baseline", r"plan\.qat\.of must be student or teacher, got 'baseline'"),
        ("calibration_samples", 0, r"plan\.qat\.calibration_samples must be a whole number, 1 or more; got 0"),
        ("epochs", 0, r"plan\.qat\.epochs must be a whole number, 1 or more; got 0"),
        ("lr_factor", -1, r"plan\.qat\.lr_factor must be a number above 0, got -1\. For example"),
        ("bits", 4, r"plan\.qat\.bits"),
    ],
)
def test_a_setting_out_of_its_range_is_named_with_its_value(setting, value, message, config):
    cfg = copy.deepcopy(config)
    cfg.plan.qat._set_flag("struct", False)
    cfg.plan.qat[setting] = value
    with pytest.raises(BadInput, match=message):
        kdlab.plan(cfg)


def test_a_loss_that_reads_the_students_features_is_refused():
    with pytest.raises(BadInput, match=r"^plan=qat needs a loss that compares logits.* For example loss=response\.$"):
        qat("loss=feature")

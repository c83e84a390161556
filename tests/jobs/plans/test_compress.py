import copy

import pytest

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.training.identity import stage_fingerprint
from tests.small import TINY, tiny_plan


def compress(*overrides):
    return tiny_plan("plan=compress", *overrides)


def names(stages):
    return [stage.name for stage in stages]


def described(plan):
    starts = {stage.name: stage.start.stage.name if stage.start else None for stage in plan.stages}
    return {stage.name: (names(stage.teacher_stages), starts[stage.name], stage.epochs) for stage in plan.stages}


def test_the_student_is_distilled_then_pruned_and_recovers_under_the_teacher_or_from_labels():
    plan = compress("epochs=6")
    assert described(plan) == {
        "teacher": ([], None, 1),
        "unpruned": (["teacher"], None, 6),
        "from_labels": ([], "unpruned", 3),
        "pruned": (["teacher"], "unpruned", 3),
    }
    roles = {role: stage.name for role, stage in plan.by_role().items()}
    assert roles == {"teacher": "teacher", "baseline": "from_labels", "student": "pruned"}
    assert names(step.stage for step in plan.steps) == ["unpruned", "pruned"]


def test_the_teacher_may_be_pruned_and_teach_its_pruned_self():
    plan = compress("plan.prune.of=teacher", "epochs=6")
    assert described(plan) == {
        "teacher": ([], None, 1),
        "from_labels": ([], "teacher", 3),
        "pruned": (["teacher"], "teacher", 3),
    }
    assert plan.student.network["kwargs"] == plan.teacher.network["kwargs"]
    assert names(plan.student.needs) == ["teacher", "teacher"]


def test_several_steps_go_as_far_together_and_share_the_epochs():
    plan = compress("plan.prune.steps=3", "plan.prune.epochs=7", "plan.prune.ratio=0.6")
    starts = {stage.name: stage.start for stage in plan.stages if stage.start}
    steps = ["from_labels1", "from_labels2", "from_labels3", "pruned1", "pruned2", "pruned3"]
    assert list(starts) == steps
    assert [start.stage.name for start in starts.values()] == ["unpruned", *steps[:2], "unpruned", *steps[3:5]]
    assert [start.change.ratio for start in starts.values()] == pytest.approx([0.2, 0.4, 0.6] * 2)
    assert [stage.epochs for stage in plan.stages if stage.start] == [2, 2, 3] * 2
    assert (plan.student.name, plan.baseline.name) == ("pruned3", "from_labels3")


def test_the_learning_rate_is_a_share_of_the_runs_also_in_the_schedule():
    plan = compress("optimizer.lr=0.4", "plan.prune.lr_factor=0.25", "plan.from_labels.optimizer.momentum=0")
    for stage in (plan.student, plan.baseline):
        assert stage.optimizer["lr"] == stage.scheduler["max_lr"] == pytest.approx(0.1)
    assert plan.steps[0].stage.optimizer["lr"] == 0.4
    assert (plan.student.optimizer["momentum"], plan.baseline.optimizer["momentum"]) == (0.9, 0)


def test_without_a_baseline_nothing_recovers_from_labels():
    plan = compress("baseline=false")
    assert names(plan.stages) == ["teacher", "unpruned", "pruned"]
    assert plan.baseline is None


def test_the_unpruned_student_is_that_of_the_single_plan():
    assert stage_fingerprint(compress().steps[0].stage) == stage_fingerprint(tiny_plan().student)


@pytest.fixture(scope="module")
def config():
    """Composed once for all that changes one setting of it."""
    return compose_config([*TINY, "plan=compress"])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("ratio", 1, r"plan\.prune\.ratio must lie between 0 and 1 .* got 1\. For example plan\.prune\.ratio=0\.5"),
        ("ratio", "half", r"plan\.prune\.ratio must lie between 0 and 1 .* got 'half'"),
        ("of", "baseline", r"plan\.prune\.of must be student or teacher, got 'baseline'"),
        ("importance", "size", r"plan\.prune\.importance must be magnitude or .* or random, got 'size'"),
        ("round_to", 0, r"plan\.prune\.round_to must be a whole number, 1 or more; got 0"),
        ("steps", 0, r"plan\.prune\.steps must be a whole number, 1 or more; got 0"),
        ("epochs", 0, r"plan\.prune\.epochs must be a whole number, 1 or more; got 0"),
        ("recalibration_samples", -1, r"plan\.prune\.recalibration_samples must be a whole number, 0 or more; got -1"),
        ("structured", "no", r"plan\.prune\.structured must be true or false, got 'no'"),
        ("lr_factor", 0, r"plan\.prune\.lr_factor must be a number above 0, got 0"),
    ],
)
def test_refuses_what_is_no_pruning(setting, value, message, config):
    cfg = copy.deepcopy(config)
    cfg.plan.prune[setting] = value
    with pytest.raises(BadInput, match=message):
        kdlab.plan(cfg)


def test_an_optimizer_without_a_learning_rate_needs_a_factor_of_one(config):
    cfg = copy.deepcopy(config)
    cfg.optimizer = {"_target_": "torch.optim.Adafactor"}
    cfg.scheduler = {"_target_": "torch.optim.lr_scheduler.ConstantLR", "_partial_": True}
    with pytest.raises(BadInput, match=r"plan\.prune\.lr_factor changes optimizer\.lr, and this optimizer has none"):
        kdlab.plan(cfg)
    cfg.plan.prune.lr_factor = 1
    assert "lr" not in kdlab.plan(cfg).student.optimizer


def test_a_loss_that_reads_no_teacher_is_refused():
    with pytest.raises(BadInput, match=r"unpruned has teacher as its teacher, but no term of its loss .*; got ce"):
        compress("loss=ce")


def test_what_cannot_be_pruned_is_refused_before_anything_trains(config):
    with pytest.raises(
        BadInput, match=r"^plan\.prune\.ratio must leave each layer 8 channels .* got 0\.5: at most 0 of"
    ):
        check_stages(kdlab.plan(copy.deepcopy(config)).stages)
    cfg = copy.deepcopy(config)
    cfg.model.student = {**cfg.model.student, "name": "shufflenetv2", "kwargs": {}}
    message = r"^plan=compress: torch-pruning cannot prune shufflenetv2: .* Choose another network to prune\.$"
    with pytest.raises(BadInput, match=message):
        check_stages(kdlab.plan(cfg).stages)


def test_the_widths_of_the_checked_network_are_those_that_the_terms_get():
    check_stages(compress("loss=feature", "plan.prune.round_to=1", "plan.prune.ratio=0.3", "plan.prune.steps=2").stages)

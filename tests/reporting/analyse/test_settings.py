import pytest

from kdlab.reporting.analyse.labels import label, names
from kdlab.reporting.analyse.settings import varying_keys
from kdlab.reporting.assemble import collect
from kdlab.reporting.collect.runs import find
from tests.reporting.lab import Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def labels(lab):
    return {setting.label for setting in collect([lab.root]).settings}


def test_a_sweep_varies_its_own_keys_and_not_those_that_follow_from_them(lab):
    sweep = lab.grid("loss.temperature", {2.0: [(95.0, 90.0, 94.0)], 8.0: [(94.0, 90.0, 93.0)]})
    assert varying_keys(find([sweep])) == ["loss.temperature"]
    assert labels(lab) == {"T 2", "T 8"}


def test_loose_runs_vary_in_what_was_typed_also_where_one_left_it_out(lab):
    lab.run(95.0, 90.0, typed=["epochs=30"])
    lab.run(94.0, 90.0, typed=["loss.temperature=8", "epochs=30"], settings={"loss.temperature": 8.0})
    assert labels(lab) == {"T 4", "T 8"}


def test_what_was_not_typed_is_read_from_the_configs_without_settings_that_follow(lab):
    lab.run(95.0, 90.0)
    lab.run(94.0, 90.0, settings={"optimizer.lr": 0.05, "loss.temperature": 8.0})
    assert labels(lab) == {"T 4 · lr 0.1", "T 8 · lr 0.05"}


def test_folders_hardware_and_loggers_are_no_settings(lab):
    settings = {"hardware.threads": 4, "paths.outputs": "elsewhere", "logger.csv": True, "tags": ["x"]}
    settings |= {"cache.enabled": False}
    lab.run(95.0, 90.0, typed=["hardware.threads=4", "logger=wandb", "cache.enabled=false"], settings=settings)
    lab.run(95.0, 90.0, seed=1)
    assert labels(lab) == {"response"}


def test_seeds_are_no_settings_nor_is_what_follows_them(lab):
    for seed in (0, 1):
        lab.run(95.0, 90.0, seed=seed, settings={"model.teacher.train.seed": seed}, typed=[f"seed={seed}"])
    evidence = collect([lab.root])
    assert (evidence.varied, evidence.seeds) == ({}, (0, 1))
    assert any("teacher varies with the seed" in remark for remark in evidence.remarks) is False  # one stage for both


def test_a_teachers_seed_that_varies_by_itself_is_a_setting(lab):
    for teacher in (0, 1):
        lab.run(95.0, 90.0, settings={"model.teacher.train.seed": teacher})
    assert labels(lab) == {"teacher seed 0", "teacher seed 1"}


def test_a_loss_stands_for_all_that_it_brings(lab):
    lab.run(95.0, 90.0)
    other = {"name": "dkd", "loss.temperature": 4.0, "loss.target_weight": 1.0, "loss.terms.dkd.weight": 1.0}
    lab.run(94.0, 90.0, settings=other)
    assert labels(lab) == {"loss response", "loss dkd"}


def test_a_default_option_gets_the_name_that_another_run_typed(lab):
    lab.run(95.0, 90.0, typed=["model/student=resnet8_slim", "seed=0"])
    lab.run(95.5, 90.0, typed=["seed=1"], seed=1)
    lab.run(96.0, 90.0, typed=["model/student=resnet20"], settings={"model.student.name": "resnet20"})
    assert labels(lab) == {"student resnet8_slim", "student resnet20"}


def test_numbers_typed_in_other_ways_are_one_setting(lab):
    lab.run(95.0, 90.0, settings={"loss.temperature": 4})
    lab.run(96.0, 90.0, settings={"loss.temperature": 4.0}, seed=1)
    assert labels(lab) == {"response"}


def test_of_the_same_setting_and_seed_the_newest_counts_with_a_remark(lab):
    lab.run(95.0, 90.0, settings={"hardware.threads": 1})
    lab.run(80.0, 90.0, settings={"hardware.threads": 2})
    evidence = collect([lab.root])
    (setting,) = evidence.settings
    assert setting.figures["student/test/accuracy"].mean == 80.0
    assert any(remark.startswith("1 run was left out") for remark in evidence.remarks)


def test_names_are_short_and_distinct():
    keys = [
        "optimizer.lr",
        "plan.baseline.optimizer.lr",
        "model.teacher.train.optimizer.lr",
        "data.padding",
        "loss.padding",
    ]
    named = names(keys)
    assert list(named.values()) == ["lr", "baseline lr", "teacher lr", "data padding", "loss padding"]
    assert label({"optimizer.lr": 0.05, "data.padding": None}, named) == "lr 0.05"
    assert label({"data.padding": None}, named) == "data padding none"
    assert (
        label({"plan.assistants": "[resnet20,resnet14]"}, names(["plan.assistants"])) == "assistants resnet20,resnet14"
    )


def test_seeds_of_which_only_one_finished_are_no_setting_either(lab):
    cells = [(["seed=0"], lab.run(95.0, 90.0), {}), (["seed=1"], None, {"status": "failed", "error": "lost"})]
    (setting,) = collect([lab.sweep({"seed": ["0", "1"]}, cells)]).settings
    assert setting.label == "response"

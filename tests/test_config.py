"""What a command line composes, from whichever folder it is typed in."""

import pytest

from kdlab.config import checked_overrides, compose_config
from kdlab.errors import BadInput


def test_an_option_can_be_chosen_two_levels_down():
    cfg = compose_config(["model/teacher=resnet56", "optimizer@model.teacher.train.optimizer=adamw"])
    assert cfg.model.teacher.name == "resnet56"
    assert cfg.model.teacher.train.optimizer._target_ == "torch.optim.AdamW"
    assert cfg.optimizer._target_ == "torch.optim.SGD"
    assert "momentum" not in cfg.model.teacher.train.optimizer


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_a_plus_makes_no_difference(plus):
    cfg = compose_config([f"{plus}epochs=3", f"{plus}optimizer.dampening=0.5", f"{plus}debug=fast"])
    assert (cfg.epochs, cfg.optimizer.dampening, cfg.trainer.limit_train_batches) == (3, 0.5, 2)


@pytest.mark.parametrize(
    "key",
    [
        "trainer.gradient_clip_val",
        "model.student.kwargs.dropout",
        "model.teacher.taps.neck",
        "scheduler.three_phase",
        "model.teacher.train.optimizer.dampening",
        "loss.terms.mine.weight",
        "plan.baseline.epochs",
        "plan.baseline.optimizer.lr",
        "callbacks.mine._target_",
        "hydra.job.env_set.MINE",
    ],
)
def test_keys_may_be_added_below_open_nodes(key):
    assert checked_overrides([f"{key}=1"]).overrides == [f"++{key}=1"]


def test_what_is_there_may_be_removed_below_open_nodes_alone():
    assert "nesterov" not in compose_config(["~optimizer.nesterov"]).optimizer
    with pytest.raises(BadInput, match=r"^~epochs: epochs cannot be removed. Give it another value: epochs=…$"):
        compose_config(["~epochs"])
    with pytest.raises(BadInput, match=r"^~loss: loss cannot be removed. Options: ce, "):
        compose_config(["~loss"])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("trainer=3", r"trainer=3: trainer is not a single value. Set something in it: trainer.<name>=…"),
        ("paths=x", r"Settings here: paths.outputs, paths.store, paths.data\.$"),
        ("optimizer=null", r"optimizer has no option 'null'. Options: adamw, sgd"),
        ("data=[digits,mnist]", r"data takes one option at a time. A run with each: -m data=one,another$"),
        ("temprature=3", r"temprature is not a setting. Did you mean loss.temperature\?$"),
        ("modle=x", r"modle is not a setting. Did you mean model\?$"),
        ("model/techer=x", r"Did you mean model/teacher\?$"),
        ("zzz=1", r"zzz is not a setting. Settings here: epochs, |zzz is not a setting. Settings here: name, epochs, "),
        (
            "optimizer@model.techer.train.optimizer=sgd",
            r"Did you mean .*optimizer@model.teacher.train.optimizer|one of",
        ),
    ],
)
def test_what_does_not_compose_says_what_would(line, text):
    with pytest.raises(BadInput, match=text):
        compose_config([line])


def test_a_group_that_allows_it_takes_several_options():
    cfg = compose_config(["callbacks=[lr_monitor,early_stopping]", "logger=[csv,wandb]"])
    assert set(cfg.callbacks) == {"lr_monitor", "early_stopping"}
    assert (cfg.logger.csv, cfg.logger.wandb) == (True, True)


def test_a_sweep_composes_its_first_cell_and_has_a_folder_of_its_own(tmp_path):
    checked = checked_overrides([f"paths.outputs={tmp_path}", "seed=3,4"], multirun=True)
    assert checked.config.seed == 3
    assert checked.sweep_folder.parent == tmp_path / ".sweeps"
    assert checked.overrides[-1] == f"hydra.sweep.dir='{checked.sweep_folder}'"


def test_a_sweep_visits_options_by_pattern():
    with pytest.raises(BadInput, match=r"loss.alpha is not a setting with loss=ce"):
        checked_overrides(["loss=glob(*)", "loss.alpha=0.5"], multirun=True)


def test_the_sweeps_of_the_current_folder_join_the_packages_own_and_nothing_else_does(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {loss.temperature: '2,8'}}}\n"
    )
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "stray.yaml").write_text("temperature: 1\n")
    monkeypatch.chdir(tmp_path)
    assert checked_overrides(["+sweeps=mine"]).config.loss.temperature == 2
    assert checked_overrides(["+sweeps=seeds"]).config.seed == 0
    with pytest.raises(BadInput, match="loss has no option 'stray'"):
        checked_overrides(["loss=stray"])


def test_a_key_that_a_sweep_file_misspells_is_named(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "typo.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {loss.temprature: '2,8'}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"loss.temprature=2,8: .*Did you mean loss.temperature\?"):
        checked_overrides(["+sweeps=typo"])


def test_a_further_folder_adds_options(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: kdlab.methods.Distiller\nterms: {ce: {weight: 2.0}}\n")
    config = checked_overrides(["loss=mine"], folder=str(tmp_path)).config
    assert config.loss.terms.ce.weight == 2.0

"""What a command line composes, from whichever folder it is typed in."""

import pytest
from hydra import compose
from omegaconf import OmegaConf

from kdlab.config.compose import checked_overrides, compose_config, hydra_app
from kdlab.config.help import help_page
from kdlab.errors import BadInput
from kdlab.sweeps.cli import run


def test_an_option_can_be_chosen_two_levels_down():
    cfg = compose_config(["model/teacher=resnet56", "optimizer@model.teacher.train.optimizer=adamw"])
    assert cfg.model.teacher.name == "resnet56"
    assert cfg.model.teacher.train.optimizer._target_ == "torch.optim.AdamW"
    assert cfg.optimizer._target_ == "torch.optim.SGD"
    assert "momentum" not in cfg.model.teacher.train.optimizer


@pytest.mark.parametrize(
    "line",
    [
        "loss=feature seed=3 loss.terms.feature.weight=2 name='a=b'",
        "model/teacher@model.teachers.second=resnet8 model.teachers.second.weight=0.5",
        "plan=born_again plan.generations=3 loss=dkd ~loss.terms.ce",
        "+loss.terms.pkt.weight=3 +loss.terms.pkt.taps=[high] trainer.limit_val_batches=5",
        "seed=2 hydra.job.config.override_dirname.kv_sep=: hydra.verbose=true",
    ],
)
def test_what_is_checked_is_what_hydra_composes(line):
    checked = checked_overrides(line.split())
    with hydra_app():
        expected = compose("train", checked.overrides, return_hydra_config=True)
    assert OmegaConf.to_yaml(checked.config) == OmegaConf.to_yaml(expected)


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


def test_a_plan_is_open_to_changes_of_any_of_its_numbered_stages_and_to_no_others():
    for plan, key in (("born_again", "plan.generation12.epochs"), ("assistant", "plan.step3.loss.temperature")):
        assert f"++{key}=1" in checked_overrides([f"plan={plan}", f"{key}=1"]).overrides
    with pytest.raises(BadInput, match=r"plan\.step2\.epochs is not a setting with plan=single"):
        checked_overrides(["plan.step2.epochs=1"])
    with pytest.raises(BadInput, match=r"plan\.step\.epochs is not a setting.*Did you mean plan\.step1\.epochs"):
        checked_overrides(["plan=assistant", "plan.step.epochs=1"])


def test_a_loss_may_bring_its_plan_and_the_command_line_still_wins(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text(
        "defaults: [{override /plan@_global_.plan: born_again}]\n"
        "_target_: kdlab.methods.Distiller\nterms: {ce: {weight: 1.0}}\n"
    )
    brought = checked_overrides(["loss=mine", "plan.generations=2"], folder=str(tmp_path)).config
    assert (brought.plan.generations, brought.hydra.runtime.choices.plan) == (2, "born_again")
    typed = checked_overrides(["loss=mine", "plan=single"], folder=str(tmp_path)).config
    assert (typed.plan._target_, typed.hydra.runtime.choices.plan) == ("kdlab.jobs.plans.single.single", "single")
    with pytest.raises(BadInput, match=r"Did you mean plan\.generations"):
        checked_overrides(["loss=mine", "plan.generatons=2"], folder=str(tmp_path))


def test_keys_may_be_removed_below_open_nodes_only():
    assert "nesterov" not in compose_config(["~optimizer.nesterov"]).optimizer
    with pytest.raises(BadInput, match=r"^~epochs: epochs cannot be removed. Give it another value: epochs=…$"):
        compose_config(["~epochs"])
    with pytest.raises(BadInput, match=r"^~loss: loss cannot be removed. Options: .*, ce, "):
        compose_config(["~loss"])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("trainer=3", r"trainer=3: trainer is not a single value. Set something in it: trainer.<name>=…"),
        ("paths=x", r"Settings here: paths.outputs, paths.store, paths.data\.$"),
        ("loss.sharpness=2", r"not a setting with loss=response. Settings here: .*, loss.terms.response_kd.weight\.$"),
        ("loss=fitnett", r"loss has no option 'fitnett'\. Options: attention, born_again, ce, "),
        ("optimizer=null", r"optimizer has no option 'null'. Options: adam, adamw, sgd"),
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
def test_an_error_names_what_would_compose(line, text):
    with pytest.raises(BadInput, match=text):
        compose_config([line])


def test_alpha_of_a_loss_without_two_weights_that_sum_to_1_is_refused_with_the_existing_weights():
    text = r"^loss.alpha=0.5: loss.alpha is not a setting with loss=dkd. Settings here: loss.temperature, "
    weights = "loss.target_weight, loss.nontarget_weight, loss.terms.ce.weight, loss.terms.dkd.weight.$"
    with pytest.raises(BadInput, match=text + weights):
        compose_config(["loss=dkd", "loss.alpha=0.5"])


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_several_keys_of_an_open_node_may_be_set_together(plus):
    cfg = compose_config([f"{plus}model.student.kwargs={{dropout:0.3,widths:[2,2,4,4]}}", "trainer={max_steps:7}"])
    assert cfg.model.student.kwargs == {"dropout": 0.3, "widths": [2, 2, 4, 4]}
    assert cfg.trainer.max_steps == 7


def test_a_group_that_allows_it_takes_several_options():
    cfg = compose_config(["callbacks=[lr_monitor,early_stopping]", "logger=[csv,wandb]"])
    assert set(cfg.callbacks) == {"lr_monitor", "early_stopping"}
    assert (cfg.logger.csv, cfg.logger.wandb) == (True, True)


def test_a_sweep_composes_its_first_cell_and_returns_what_varies(tmp_path):
    checked = checked_overrides([f"paths.outputs={tmp_path}", "seed=3,4"], multirun=True)
    assert checked.config.seed == 3
    assert [override.input_line for override in checked.multirun.typed] == [f"paths.outputs={tmp_path}", "seed=3,4"]
    assert (checked.multirun.from_file, checked.multirun.question) == ([], None)
    assert checked_overrides(["seed=3"]).multirun is None


def test_a_sweep_may_choose_options_by_pattern():
    with pytest.raises(BadInput, match=r"loss.alpha=0.5: loss.alpha is not a setting with loss="):
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


SECOND = "model/teacher@model.teachers.second"


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_another_teacher_and_a_transfer_set_are_options_with_a_package_of_their_own(plus):
    cfg = compose_config([f"{plus}{SECOND}=resnet20", f"{plus}data@transfer=cifar100", "model/teacher=resnet56"])
    assert (cfg.model.teacher.name, cfg.model.teachers.second.name) == ("resnet56", "resnet20")
    assert (cfg.data._target_, cfg.transfer._target_) == ("kdlab.data.Digits", "kdlab.data.CIFAR100")
    assert cfg.transfer.root == cfg.paths.data


def test_without_them_there_is_one_teacher_and_no_transfer_set():
    cfg = compose_config([])
    assert (cfg.model.teachers, cfg.transfer) == ({}, None)
    assert compose_config(["transfer=null", "model.teachers={}"]) == cfg


def test_such_a_package_has_settings_and_options_like_the_first_one():
    third = SECOND.replace("second", "third")
    options = [f"{SECOND}=resnet20", f"{third}=resnet32", "optimizer@model.teachers.third.train.optimizer=adamw"]
    values = ["model.teachers.second.weight=2", "model.teachers.third.kwargs.dropout=0.1", "transfer.padding=2"]
    cfg = compose_config([*options, "data@transfer=cifar100", *values])
    assert {name: teacher.name for name, teacher in cfg.model.teachers.items()} == {
        "second": "resnet20",
        "third": "resnet32",
    }
    assert (cfg.model.teachers.second.weight, cfg.model.teachers.third.weight) == (2, 1)
    assert "SGD" in cfg.model.teachers.second.train.optimizer._target_
    assert "AdamW" in cfg.model.teachers.third.train.optimizer._target_
    assert (cfg.model.teachers.third.kwargs.dropout, cfg.transfer.padding, cfg.data.padding) == (0.1, 2, 4)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([f"{SECOND}=resnt20"], rf"{SECOND} has no option 'resnt20'. Did you mean {SECOND}=resnet20\?$"),
        (["data@transfer=cifr100"], r"data@transfer has no option 'cifr100'. Did you mean data@transfer=cifar100\?$"),
        (["data@transfer=[digits,mnist]"], r"one option at a time. A run with each: -m data@transfer=one,another$"),
        (["modle/teacher@model.teachers.a=resnet20"], r"modle/teacher is not a setting. Did you mean model/teacher\?$"),
        (
            ["model/teacher@model.teachrs.second=resnet20"],
            rf"the package of another model/teacher must be model.teachers.<name>, got 'model.teachrs.second'. "
            rf"Did you mean {SECOND}=resnet20\?$",
        ),
        (["+model/teacher@model.teachers.a.b=resnet20"], r"Did you mean model/teacher@model.teachers.b=resnet20\?$"),
        (["+model/teacher@model.teachers=resnet20"], rf"got 'model.teachers'. Did you mean {SECOND}=resnet20\?$"),
        (["+model/teacher@model.teacher=resnet20"], r"Did you mean model/teacher=resnet20\?$"),
        (
            ["+data@trasfer=mnist"],
            r"the package of another data must be transfer, got 'trasfer'. Did you mean data@transfer=mnist\?$",
        ),
        (["+optimizer@model.teachers.second.train.optimizer=sgd"], r"Did you mean to override one of [^+]*$"),
        (
            [f"{SECOND}=resnet20", "model.teachers.second.chekpoint=x"],
            rf"is not a setting with {SECOND}=resnet20. Did you mean model.teachers.second.checkpoint\?$",
        ),
        ([f"{SECOND}=resnet20", "model.teachers.secnd.weight=2"], r"Did you mean model.teachers.second.weight\?$"),
        (["data@transfer=mnist", "transfer.paddng=1"], r"with data@transfer=mnist. Did you mean transfer.padding\?$"),
        (["model.teachers.second.weight=2"], rf"First choose an option for model.teachers.second: {SECOND}=…$"),
        (["model.teachers.second=resnet20"], rf"First choose an option for model.teachers.second: {SECOND}=…$"),
        (["transfer.padding=1"], r"First choose an option for transfer: data@transfer=…$"),
        (["transfer=mnist"], r"transfer is not a single value. An option is chosen with data@transfer=mnist$"),
        (["data@transfer=mnist", "transfer=digits"], r"An option is chosen with data@transfer=digits$"),
        (
            ["data@transfer=mnist", "transfer.batch_size=3"],
            r"transfer.batch_size has no effect. Only the images and views of a transfer set are used, all else comes "
            r"from data: set data.batch_size.$",
        ),
        (["data@transfer=mnist", "transfer.seed=3"], r"all else comes from data: set seed.$"),
    ],
)
def test_a_mistake_in_such_a_package_is_an_error_with_the_correction(lines, text):
    with pytest.raises(BadInput, match=text):
        compose_config(lines)


def test_a_sweep_varies_the_options_of_such_a_package_and_settings_below_them():
    lines = [f"{SECOND}=resnet20,resnet32", "model.teachers.second.weight=2"]
    checked = checked_overrides(lines, multirun=True)
    assert checked.overrides[:2] == [f"+{lines[0]}", f"++{lines[1]}"]
    assert (checked.config.model.teachers.second.name, checked.config.model.teachers.second.weight) == ("resnet20", 2)
    with pytest.raises(BadInput, match=r"Did you mean model.teachers.second.weight\?$"):
        checked_overrides([lines[0], "model.teachers.second.weigt=2"], multirun=True)


def test_a_setting_that_only_the_options_of_a_sweep_have_reaches_every_cell(tmp_path):
    seen = []
    lines = ["data@transfer=mnist,digits", "transfer.padding=3", f"paths.outputs={tmp_path}"]
    assert run(lambda cfg: seen.append((cfg.transfer._target_, cfg.transfer.padding)), ["-m", *lines]) == 0
    assert seen == [("kdlab.data.MNIST", 3), ("kdlab.data.Digits", 3)]


def test_an_option_that_an_experiment_adds_can_be_changed_and_joined_by_another(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "two.yaml").write_text(
        f"# @package _global_\ndefaults: [{{/{SECOND}: resnet20}}, {{override /data@transfer: mnist}}]\n"
        "transfer: {padding: 3}\nmodel: {teachers: {second: {weight: 5}}}\n"
    )
    lines = ["experiment=two", f"{SECOND}=resnet32", f"{SECOND.replace('second', 'third')}=resnet8"]
    cfg = checked_overrides([*lines, "data@transfer=digits"], folder=str(tmp_path)).config
    assert [(teacher.name, teacher.weight) for teacher in cfg.model.teachers.values()] == [
        ("resnet32", 5),
        ("resnet8", 1),
    ]
    assert (cfg.transfer._target_, cfg.transfer.padding) == ("kdlab.data.Digits", 3)


def test_the_help_page_shows_how_to_choose_them():
    page = help_page()
    assert "data@transfer=  " in page and f"{SECOND}=  " in page


def test_a_sweep_over_plans_may_set_what_only_some_of_them_have():
    lines = checked_overrides(["plan=single,assistant", "plan.assistants=[resnet8]"], multirun=True).overrides
    assert "++plan.assistants=[resnet8]" in lines
    with pytest.raises(BadInput, match=r"plan\.asistants is not a setting"):
        checked_overrides(["plan=single,assistant", "plan.asistants=[resnet8]"], multirun=True)
    with pytest.raises(BadInput, match=r"loss\.alpha is not a setting"):
        checked_overrides(["loss=response,dkd", "loss.alpha=0.5"], multirun=True)

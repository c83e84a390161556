"""experiment=cifar100_benchmark is the published recipe, for every pair and every loss with published figures."""

from functools import cache

import pytest
from omegaconf import OmegaConf, open_dict

from kdlab.config.compose import compose_config
from kdlab.config.folders import CONF
from kdlab.models.build import build_network
from kdlab.models.taps import Taps
from kdlab.settings.old_names import without_old_names

# Teacher, student, learning rate of the student, and DKD's beta: Tian et al. 2020, table 1 and 2; Zhao et al. 2022.
PAIRS = {
    "wrn_40_2_wrn_16_2": ("wrn_40_2", "wrn_16_2", 0.05, 6),
    "wrn_40_2_wrn_40_1": ("wrn_40_2", "wrn_40_1", 0.05, 6),
    "resnet56_resnet20": ("resnet56", "resnet20", 0.05, 2),
    "resnet110_resnet20": ("resnet110", "resnet20", 0.05, 8),
    "resnet110_resnet32": ("resnet110", "resnet32", 0.05, 2),
    "resnet32x4_resnet8x4": ("resnet32x4", "resnet8x4", 0.05, 8),
    "vgg13_vgg8": ("vgg13", "vgg8", 0.05, 6),
    "vgg13_mobilenetv2": ("vgg13", "mobilenetv2_half", 0.01, 6),
    "resnet50_mobilenetv2": ("resnet50_cifar", "mobilenetv2_half", 0.01, 8),
    "resnet50_vgg8": ("resnet50_cifar", "vgg8", 0.05, 8),
    "resnet32x4_shufflenetv1": ("resnet32x4", "shufflenetv1", 0.01, 8),
    "resnet32x4_shufflenetv2": ("resnet32x4", "shufflenetv2", 0.01, 8),
    "wrn_40_2_shufflenetv1": ("wrn_40_2", "shufflenetv1", 0.01, 8),
}
FOUR_STAGES = ("vgg13_vgg8", "vgg13_mobilenetv2", "resnet50_mobilenetv2", "resnet50_vgg8")
STAGES = ["low", "mid", "high"]

# The weight of the labels, and the settings of each other term.
LOSSES = {
    "response": (0.1, {"response_kd": {"weight": 0.9, "temperature": 4}}),
    "hint": (1, {"hint": {"weight": 100, "taps": ["mid"]}}),
    "attention": (1, {"attention": {"weight": 1000, "power": 2, "taps": STAGES}}),
    "similarity": (1, {"similarity_preserving": {"weight": 3000, "taps": ["high"]}}),
    "correlation": (1, {"correlation_congruence": {"weight": 0.02, "taps": ["embedding"]}}),
    "vid": (1, {"vid": {"weight": 1, "taps": STAGES}}),
    "rkd": (1, {"rkd_distance": {"weight": 25}, "rkd_angle": {"weight": 50}}),
    "pkt": (1, {"pkt": {"weight": 30000, "taps": ["embedding"]}}),
    "factor": (1, {"factor": {"weight": 200, "taps": ["high"]}}),
    "nst": (1, {"nst": {"weight": 50, "taps": STAGES}}),
    "crd": (1, {"crd": {"weight": 0.8, "negatives": 16384, "temperature": 0.07, "momentum": 0.5, "dimension": 128}}),
    "dkd": (1, {"dkd": {"weight": 1, "target_weight": 1, "temperature": 4, "warmup": 20}}),
    "standardised_kd": (0.1, {"standardised_kd": {"weight": 9, "temperature": 2}}),
    "review": (1, {"review": {"weight": 5, "warmup": 20, "taps": [STAGES]}}),
}
SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}


@cache
def composed(loss, pair, *overrides):
    cfg = compose_config(["experiment=cifar100_benchmark", f"loss={loss}", f"model={pair}", *overrides])
    with open_dict(cfg):
        del cfg["name"]  # only a running job has it
    return OmegaConf.to_container(cfg, resolve=True)


def test_every_loss_with_published_figures_is_an_option():
    assert set(LOSSES) <= set(without_old_names("loss", (path.stem for path in (CONF / "loss").glob("*.yaml"))))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_recipe_is_the_published_one_for_student_and_teacher(pair):
    cfg = composed("dkd", pair)
    teacher, student, learning_rate, beta = PAIRS[pair]
    recipe = cfg["model"]["teacher"]["train"]
    assert (cfg["model"]["teacher"]["name"], cfg["model"]["student"]["name"]) == (teacher, student)
    assert cfg["optimizer"] == {**SGD, "lr": learning_rate}
    assert recipe["optimizer"] == {**SGD, "lr": 0.05}
    assert cfg["epochs"] == recipe["epochs"] == 240
    for scheduler in (cfg["scheduler"], recipe["scheduler"]):
        assert scheduler["_target_"] == "torch.optim.lr_scheduler.MultiStepLR"
        assert (scheduler["milestones"], scheduler["gamma"]) == ([150, 180, 210], 0.1)
    assert cfg["loss"]["terms"]["dkd"]["nontarget_weight"] == beta


def test_all_training_images_are_trained_on_in_batches_of_64():
    data = composed("dkd", "vgg13_vgg8")["data"]
    expected = {"batch_size": 64, "val_fraction": 0, "labelled_fraction": 1, "train_samples": None, "drop_last": False}
    expected |= {"_target_": "kdlab.data.CIFAR100", "image_size": 32, "padding": 4, "flip": True}
    expected |= {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]}
    assert expected.items() <= data.items()


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_has_its_published_weights(loss):
    terms = composed(loss, "resnet32x4_resnet8x4")["loss"]["terms"]
    labels, others = LOSSES[loss]
    assert terms["ce"]["weight"] == labels
    assert {name for name, term in terms.items() if term["weight"]} == {"ce", *others}
    for name, expected in others.items():
        assert expected.items() <= terms[name].items()


@pytest.mark.parametrize("pair", FOUR_STAGES)
@pytest.mark.parametrize("loss", ["attention", "vid", "nst", "review"])
def test_losses_over_all_stages_take_four_where_both_networks_have_them(loss, pair):
    stages = ["low", "mid", "upper", "high"]
    expected = [stages] if loss == "review" else stages
    assert composed(loss, pair)["loss"]["terms"][loss]["taps"] == expected


@pytest.mark.parametrize("pair", PAIRS)
def test_the_networks_are_those_of_the_benchmark_and_have_the_tapped_modules(pair):
    for side, count in zip(("teacher", "student"), PARAMETERS[pair], strict=True):
        settings = composed("dkd", pair)["model"][side]
        arguments = {key: settings[key] for key in ("source", "name", "kwargs")}
        network = build_network(num_classes=100, **arguments)
        assert sum(parameter.numel() for parameter in network.parameters()) == count
        Taps(network, settings["taps"]).remove()


WRN_40_2, RESNET110, RESNET32X4, VGG13, RESNET50 = 2_255_156, 1_736_564, 7_433_860, 9_462_180, 23_705_252
PARAMETERS = {
    "wrn_40_2_wrn_16_2": (WRN_40_2, 703_284),
    "wrn_40_2_wrn_40_1": (WRN_40_2, 569_780),
    "resnet56_resnet20": (861_620, 278_324),
    "resnet110_resnet20": (RESNET110, 278_324),
    "resnet110_resnet32": (RESNET110, 472_756),
    "resnet32x4_resnet8x4": (RESNET32X4, 1_233_540),
    "vgg13_vgg8": (VGG13, 3_965_028),
    "vgg13_mobilenetv2": (VGG13, 812_836),
    "resnet50_mobilenetv2": (RESNET50, 812_836),
    "resnet50_vgg8": (RESNET50, 3_965_028),
    "resnet32x4_shufflenetv1": (RESNET32X4, 949_258),
    "resnet32x4_shufflenetv2": (RESNET32X4, 1_355_528),
    "wrn_40_2_shufflenetv1": (WRN_40_2, 949_258),
}


def test_wide_resnets_are_tapped_where_the_published_figures_were_measured():
    for side in ("teacher", "student"):
        taps = composed("hint", "wrn_40_2_wrn_16_2")["model"][side]["taps"]
        assert [taps[role] for role in STAGES] == ["block1", "block2", "block3"]


def test_command_line_overrides_win():
    cfg = composed("response", "resnet56_resnet20", "loss.alpha=0.5", "optimizer.lr=0.1", "epochs=2")
    assert cfg["loss"]["terms"]["response_kd"]["weight"] == 0.5
    assert (cfg["optimizer"]["lr"], cfg["epochs"]) == (0.1, 2)


def test_other_runs_do_not_change():
    cfg = compose_config(["model=resnet56_resnet20", "loss=response"])
    assert (cfg.loss.alpha, cfg.epochs, cfg.model.student.kwargs) == (0.7, 30, {})

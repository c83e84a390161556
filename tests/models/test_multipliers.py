"""Networks of timm with other multipliers are those that timm itself has under another name."""

import pytest

from kdlab.errors import BadInput
from kdlab.models.build import build_network
from kdlab.models.sources.timm import multipliers


def shapes(name, **kwargs):
    network = build_network(source="timm", name=name, num_classes=7, kwargs=kwargs, setting="model.student")
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "kwargs", "same"),
    [
        ("mobilenetv3_small_100", {"channel_multiplier": 0.75}, "mobilenetv3_small_075"),
        ("mobilenetv3_small_075", {"channel_multiplier": 0.5}, "mobilenetv3_small_050"),
        ("mobilenetv2_100", {"channel_multiplier": 1.4}, "mobilenetv2_140"),
        ("efficientnet_b0", {"depth_multiplier": 1.1}, "efficientnet_b1"),
        ("efficientnet_b0", {"channel_multiplier": 1.1, "depth_multiplier": 1.2}, "efficientnet_b2"),
        ("lcnet_050", {"channel_multiplier": 0.75}, "lcnet_075"),
    ],
)
def test_another_multiplier_gives_the_network_that_timm_names(name, kwargs, same):
    assert shapes(name, **kwargs) == shapes(same)


def test_multipliers_are_those_that_timm_uses():
    assert multipliers("efficientnet_b2") == {"channel_multiplier": 1.1, "depth_multiplier": 1.2}
    assert multipliers("mobilenetv3_small_075.lamb_in1k")["channel_multiplier"] == 0.75
    assert multipliers("resnet18") == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "resnet18", "kwargs": {"channel_multiplier": 0.5}},
            r"model\.student\.kwargs\.channel_multiplier: timm builds resnet18 without it, got 0\.5; accepted here: no",
        ),
        (
            {"name": "lcnet_050", "kwargs": {"depth_multiplier": 2}},
            r"timm builds lcnet_050 without it, got 2; accepted here: channel_multiplier$",
        ),
        (
            {"name": "mobilenetv3_small_100", "kwargs": {"channel_multiplier": 0.5}, "pretrained": True},
            r"model\.student\.pretrained: the published weights of 'mobilenetv3_small_100' do not fit another channel_",
        ),
        (
            {"name": "mobilenetv3_small_100", "kwargs": {"channel_multiplier": 0.5, "widht": 2}},
            r"model\.student\.kwargs: mobilenetv3_small_100 cannot take \{'widht': 2\} .*accepted: .*drop_rate",
        ),
    ],
)
def test_multipliers_that_do_not_apply_are_refused(arguments, message):
    with pytest.raises(BadInput, match=message):
        build_network(source="timm", num_classes=7, setting="model.student", **arguments)


def test_stages_of_a_shufflenet_of_torchvision_belong_together():
    arguments = {"source": "torchvision", "num_classes": 7, "setting": "model.student"}
    with pytest.raises(BadInput, match=r"kwargs: stages_repeats and stages_out_channels belong together, to a shuff"):
        build_network(name="shufflenet_v2_x0_5", kwargs={"stages_repeats": [1, 1, 1]}, **arguments)
    published = {"stages_repeats": [4, 8, 4], "stages_out_channels": [24, 116, 232, 464, 1024]}
    one = build_network(name="shufflenet_v2_x0_5", kwargs=published, **arguments).state_dict()
    other = build_network(name="shufflenet_v2_x1_0", **arguments).state_dict()
    assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in other.items()}

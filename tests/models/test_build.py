"""Every source builds the requested network, and each mistake raises an error with the fix."""

import sys
import types
import urllib.error

import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.build import build_network, pretrained_classes


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def build(**arguments):
    return build_network(**{"num_classes": 10, "setting": "model.student", **arguments})


# He et al. 2016 and Howard et al. 2019, as timm and torchvision publish them.
@pytest.mark.parametrize(
    ("source", "name", "count"),
    [
        ("timm", "resnet18", 11_689_512),
        ("timm", "resnet50", 25_557_032),
        ("timm", "mobilenetv3_small_100", 2_542_856),
        ("torchvision", "resnet18", 11_689_512),
        ("torchvision", "squeezenet1_1", 1_235_496),
        ("cifar", "resnet20", 269_722 + 990 * 65),
    ],
)
def test_networks_have_their_published_parameter_counts(source, name, count):
    assert parameters(build(source=source, name=name, num_classes=1000)) == count


@pytest.mark.parametrize(
    ("source", "name", "kwargs"),
    [
        ("cifar", "resnet8", {"shortcut": "projection"}),
        ("timm", "resnet10t", {"drop_rate": 0.1}),
        ("torchvision", "shufflenet_v2_x0_5", {}),
        ("kdlab.models.cifar", "resnet8", {"in_channels": 1}),
    ],
)
def test_the_head_predicts_the_classes_of_the_data(source, name, kwargs):
    network = build(source=source, name=name, num_classes=7, kwargs=kwargs).eval()
    assert network(torch.zeros(1, kwargs.get("in_channels", 3), 64, 64)).shape == (1, 7)


@pytest.mark.parametrize(("source", "name"), [("cifar", "resnet8"), ("timm", "resnet10t")])
def test_the_same_seed_gives_the_same_network_and_leaves_the_generator_as_building_it_does(source, name):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append((build(source=source, name=name).state_dict(), torch.get_rng_state()))
    (first, after_first), (second, after_second) = states
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(after_first, after_second)


def test_a_cifar_network_draws_no_more_than_its_constructor():
    torch.manual_seed(3)
    cifar.resnet8(10)
    expected = torch.get_rng_state()
    torch.manual_seed(3)
    build(source="cifar", name="resnet8")
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_checkpoint_fills_the_network(tmp_path):
    saved = cifar.resnet8(10)
    torch.save(saved.state_dict(), tmp_path / "a.pt")
    built = build(source="cifar", name="resnet8", checkpoint=tmp_path / "a.pt")
    assert all(torch.equal(value, saved.state_dict()[key]) for key, value in built.state_dict().items())


def test_a_checkpoint_that_does_not_fit_names_its_setting(tmp_path):
    torch.save(cifar.resnet8(100).state_dict(), tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"^model\.student\.checkpoint: .* predicts 100 classes, the data has 10"):
        build(source="cifar", name="resnet8", checkpoint=tmp_path / "a.pt")


def own_module(monkeypatch, **attributes):
    module = types.ModuleType("users_networks")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "users_networks", module)


def test_a_users_own_network_gets_the_classes_and_kwargs(monkeypatch):
    own_module(monkeypatch, tiny=lambda num_classes, width: nn.Linear(width, num_classes))
    network = build(source="users_networks", name="tiny", kwargs={"width": 3})
    assert (network.in_features, network.out_features) == (3, 10)


def test_a_users_function_must_return_a_module(monkeypatch):
    own_module(monkeypatch, tiny=lambda num_classes: num_classes)
    with pytest.raises(BadInput, match=r"users_networks\.tiny must return a torch\.nn\.Module, got int"):
        build(source="users_networks", name="tiny")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "cifra", "name": "resnet8"}, r"\.source: one of cifar, .* got 'cifra'; closest: cifar"),
        (
            {"source": "cifar", "name": "resnet57"},
            r"\.name: cifar has no network 'resnet57'; closest: .*resnet56",
        ),
        (
            {"source": "timm", "name": "resnett50"},
            r"\.name: timm has no network 'resnett50'; closest: .*resnet50",
        ),
        (
            {"source": "timm", "name": "resnet18.nope"},
            r"\.name: timm has no network 'resnet18\.nope'; closest: ",
        ),
        (
            {"source": "torchvision", "name": "vgg12"},
            r"\.name: torchvision has no network 'vgg12'; closest: .*vgg",
        ),
        ({"source": "kdlab.models.cifar", "name": "resnet57"}, r"\.name: .*resnet57'; closest: .*resnet56"),
        (
            {"source": "cifar", "name": "resnet8", "kwargs": {"drop": 0.1}},
            r"\.kwargs: resnet8 cannot take {'drop': 0\.1} .* accepted: widths, shortcut, dropout, in_ch",
        ),
        (
            {"source": "cifar", "name": "resnet8", "kwargs": {"shortcut": "B"}},
            r"\.kwargs\.shortcut: choose 'pad' or 'projection', got 'B'",
        ),
        (
            {"source": "timm", "name": "resnet10t", "kwargs": {"dropp": 0.1}},
            r"\.kwargs: resnet10t cannot take {'dropp': 0\.1} .* accepted: .*drop_rate",
        ),
        (
            {"source": "torchvision", "name": "resnet18", "kwargs": {"group": 2}},
            r"\.kwargs: resnet18 cannot take {'group': 2} .* accepted: .*groups",
        ),
        (
            {"source": "cifar", "name": "resnet8", "pretrained": True},
            r"\.pretrained: source 'cifar' has no weights .* got true; .* model\.student\.checkpoint",
        ),
        (
            {"source": "timm", "name": "botnet50ts_256", "pretrained": True},
            r"\.pretrained: timm publishes no weights for 'botnet50ts_256', got true; .* closest: ",
        ),
        (
            {"source": "timm", "name": "resnet18", "pretrained": True, "checkpoint": "a.pt"},
            r"\.pretrained and model\.student\.checkpoint: .* pretrained=True and checkpoint=a\.pt; set one",
        ),
    ],
)
def test_each_mistake_names_the_setting_and_the_fix(arguments, message):
    with pytest.raises(BadInput, match=r"^model\.student" + message):
        build(**arguments)


def test_a_module_that_fails_to_import_something_else_is_not_reported_as_absent(tmp_path, monkeypatch):
    (tmp_path / "broken_networks.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        build(source="broken_networks", name="tiny")


def offline(*_args, **_kwargs):
    raise urllib.error.URLError("Name or service not known")


def test_torchvision_weights_that_cannot_be_fetched_are_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    message = r"^model\.student\.pretrained: .*'resnet18' could not .* by model\.student\.checkpoint"
    with pytest.raises(BadInput, match=message):
        build(source="torchvision", name="resnet18", pretrained=True)


def test_timm_weights_that_cannot_be_fetched_are_explained(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=r"^model\.student\.pretrained: .*'resnet18' could not be fetched"):
        build(source="timm", name="resnet18", pretrained=True)


def published_by(name):
    """Random weights in place of those that torchvision would download."""
    from torchvision import models

    torch.manual_seed(0)
    return models.get_model(name).state_dict()


@pytest.mark.parametrize(
    ("name", "head"),
    [("shufflenet_v2_x0_5", "fc"), ("squeezenet1_1", "classifier.1"), ("alexnet", "classifier.6")],
)
def test_published_torchvision_weights_keep_everything_but_a_new_head(monkeypatch, name, head):
    state = published_by(name)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_args, **_kwargs: state)
    from torchvision.models import _api

    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_args, **_kwargs: state)
    network = build(source="torchvision", name=name, num_classes=10, pretrained=True)
    built = network.state_dict()
    kept = [key for key in state if not key.startswith(f"{head}.")]
    assert all(torch.equal(built[key], state[key]) for key in kept)
    assert built[f"{head}.weight"].shape[0] == 10 != state[f"{head}.weight"].shape[0]
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


@pytest.mark.parametrize(
    ("source", "name", "classes"),
    [
        ("timm", "resnet50", 1000),
        ("timm", "resnet50.a1_in1k", 1000),
        ("timm", "vit_base_patch16_224.augreg_in21k", 21843),
        ("timm", "botnet50ts_256", None),
        ("timm", "no_such_network", None),
        ("timm", "resnet50.no_such_tag", None),
        ("torchvision", "vgg11", 1000),
        ("torchvision", "no_such_network", None),
        ("cifar", "resnet20", None),
        ("huggingface", "google/vit-base-patch16-224", None),
    ],
)
def test_the_classes_of_published_weights_are_known_without_a_download(source, name, classes):
    assert pretrained_classes(source, name) == classes


def test_the_error_without_transformers_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        BadInput, match=r"^model\.student\.source: .* not installed; pip install 'kdlab\[huggingface\]'"
    ):
        build(source="huggingface", name="vit")


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def test_huggingface_builds_an_architecture_offline():
    pytest.importorskip("transformers", reason="transformers is not installed")
    network = build(source="huggingface", name="vit", kwargs={**SMALL, "image_size": 32, "patch_size": 16})
    assert network(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vit", "kwargs": {"hiddn": 3}}, r"\.kwargs: vit has no hiddn; accepted: .*hidden_size"),
        ({"name": "bert"}, r"\.name: an image classifier is needed, got 'bert'"),
    ],
)
def test_huggingface_mistakes_are_explained(arguments, message):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(BadInput, match=r"^model\.student" + message):
        build(source="huggingface", **arguments)


def test_huggingface_weights_from_a_folder_get_a_new_head(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    published = build(source="huggingface", name="vit", num_classes=5, kwargs=SMALL)
    published.save_pretrained(tmp_path)
    network = build(source="huggingface", name=str(tmp_path), num_classes=7, pretrained=True)
    assert network.config.num_labels == network.classifier.out_features == 7
    body = "vit.embeddings.cls_token"
    assert torch.equal(network.state_dict()[body], published.state_dict()[body])

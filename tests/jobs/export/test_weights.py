"""Weights in the layout of timm and transformers, and programs of torch.export, load without kdlab."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from kdlab.jobs.export import weights
from kdlab.jobs.export.program import ABOUT
from kdlab.jobs.export.weights import save_folder
from kdlab.models.pruning import Pruning, prune
from kdlab.models.saved import make_network

NORMALISED = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "image_size": 32, "pretrained": False}
DIGITS = [str(digit) for digit in range(10)]


def test_the_program_takes_raw_images_without_kdlab(files, images, expected):
    code = f"""
import sys, torch
program = torch.export.load({str(files["TorchProgram"])!r}).module()
logits = program(torch.arange(3 * 3 * 32 * 32).remainder(256).to(torch.uint8).view(3, 3, 32, 32))
assert "kdlab" not in sys.modules
print(logits.detach().tolist())
"""
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    program = torch.export.load(files["TorchProgram"]).module()
    same = program(torch.arange(3 * 3 * 32 * 32).remainder(256).to(torch.uint8).view(3, 3, 32, 32))
    np.testing.assert_allclose(json.loads(printed), same.detach(), rtol=1e-5)
    torch.testing.assert_close(program(images[0]).detach(), expected, rtol=1e-4, atol=1e-4)


def test_the_program_says_where_it_comes_from(files, student):
    with zipfile.ZipFile(files["TorchProgram"]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ABOUT)]
        about = json.loads(archive.read(name))
    assert (about["stage"], json.loads(about["labels"])) == (student.fingerprint, DIGITS)


def folder_of(tmp_path, **settings):
    settings = {**NORMALISED, "num_classes": 10, "kwargs": {}, **settings}
    torch.manual_seed(0)
    network = make_network({**settings, "checkpoint": None}).eval()
    save_folder(tmp_path, network, settings, DIGITS, 32)
    return network, json.loads((tmp_path / "config.json").read_text())


def test_timm_loads_its_folder_with_preprocessing_and_labels(tmp_path):
    import timm

    network, config = folder_of(tmp_path, source="timm", name="mobilenetv3_small_050", kwargs={"drop_rate": 0.1})
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), network.module(images), rtol=0, atol=0)
    data = timm.data.resolve_model_data_config(loaded)
    assert ([*data["mean"]], [*data["std"]], [*data["input_size"]]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [3, 32, 32])
    assert (config["num_classes"], config["label_names"], loaded.drop_rate) == (10, DIGITS, 0.1)


def test_a_network_of_timm_with_other_multipliers_is_loaded_by_kdlab(tmp_path):
    kwargs = {"channel_multiplier": 0.3, "depth_multiplier": 0.7}
    network, config = folder_of(tmp_path, source="timm", name="mobilenetv3_small_100", kwargs=kwargs)
    assert config["kwargs"] == kwargs
    loaded = make_network({**config, "checkpoint": str(tmp_path / weights.WEIGHTS)}).module.eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), network.module(images), rtol=0, atol=0)


def test_torchvision_takes_the_weights(tmp_path):
    import torchvision

    network, config = folder_of(tmp_path, source="torchvision", name="squeezenet1_1")
    loaded = torchvision.models.get_model(config["name"], num_classes=config["num_classes"])
    loaded.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images), network.module(images), rtol=0, atol=0)


def test_kdlab_loads_the_folder_of_its_own_networks(files, expected, images):
    folder = files["Weights"]
    config = json.loads((folder / "config.json").read_text()) | {"checkpoint": str(folder / "model.safetensors")}
    network = make_network(config).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images[0]), expected, rtol=1e-4, atol=1e-4)
    assert config["labels"] == DIGITS


def test_transformers_loads_its_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    kwargs = {**small, "image_size": 32, "patch_size": 16}
    network, config = folder_of(tmp_path, source="huggingface", name="vit", kwargs=kwargs)
    loaded = transformers.AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, network.module(images).logits, rtol=0, atol=0)
    assert config["id2label"] == {digit: digit for digit in DIGITS}


def test_weights_that_load_otherwise_are_an_error(tmp_path, monkeypatch):
    """As if a library changed a tensor on its way."""

    def zeroed(folder, settings):
        loaded = original(folder, settings)
        next(loaded.parameters()).data.zero_()
        return loaded

    original = weights._loaded
    monkeypatch.setattr(weights, "_loaded", zeroed)
    with pytest.raises(weights.JobFailed, match="torchvision loads other weights than were written"):
        folder_of(tmp_path, source="torchvision", name="squeezenet1_1")


def test_a_pruned_network_of_another_library_is_written_in_kdlabs_own_layout(tmp_path):
    settings = {"source": "timm", "name": "test_resnet", "num_classes": 10, "kwargs": {}, **NORMALISED}
    network, images = make_network(settings), torch.rand(2, 3, 32, 32)
    prune(network, make_network(settings), images[:1], Pruning(0.4, round_to=2))
    save_folder(tmp_path, network.eval(), settings, DIGITS, 32)
    config = json.loads((tmp_path / "config.json").read_text())
    loaded = make_network(config | {"checkpoint": str(tmp_path / "model.safetensors")}).eval()
    assert torch.equal(loaded(images), network(images))
    assert config["labels"] == DIGITS

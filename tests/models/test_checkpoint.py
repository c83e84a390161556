"""Weights are read as tensors only, fit completely or not at all, and errors name the fix."""

import argparse
import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.checkpoint import load_weights, read_weights

SETTING = "model.teacher.checkpoint"


class Attack:
    def __init__(self, witness):
        self.command = f"touch {witness}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def weights():
    return {name: torch.randn_like(value.float()) for name, value in cifar.resnet8(10).state_dict().items()}


def saved(content, path):
    torch.save(content, path)
    return path


def same(read, weights):
    return read.keys() == weights.keys() and all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, legacy):
    witness, path = tmp_path / "witness", tmp_path / "evil.pt"
    torch.save({"state_dict": Attack(witness)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadInput, match=rf"^{SETTING}: .*evil\.pt would run \w+\.system .* refused\."):
        read_weights(path, setting=SETTING)
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists(), "the file must be a real attack, or its refusal proves nothing"


@pytest.mark.parametrize("target", ["builtins.eval", "subprocess.Popen", "kdlab.errors.BadInput"])
def test_any_other_class_or_function_is_refused_and_named(tmp_path, target):
    module, name = target.rsplit(".", 1)
    path = tmp_path / "evil.pt"
    path.write_bytes(f"c{module}\n{name}\n(S'1'\ntR.".encode())
    with pytest.raises(BadInput, match=rf"would run {re.escape(target.removeprefix('builtins.'))} .* refused"):
        read_weights(path)


def test_arguments_and_numbers_beside_the_weights_are_accepted(tmp_path, weights):
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "best": np.float64(93.4),
        "epoch": np.int64(7),
        "best_prec1": 92.0,
    }
    assert same(read_weights(saved({"state_dict": weights, **beside}, tmp_path / "a.pt")), weights)


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
def test_a_number_from_either_numpy_is_read(tmp_path, weights, package):
    path = tmp_path / "a.pt"
    torch.save({"model": weights, "best": np.float32(1)}, path, _use_new_zipfile_serialization=False)
    content = re.sub(rb"numpy\._?core(?=\.multiarray)", package, path.read_bytes())
    assert package + b".multiarray\nscalar" in content
    path.write_bytes(content)
    assert same(read_weights(path), weights)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_and_prefixes_are_undone(tmp_path, weights, wrapper, prefix):
    wrapped = {wrapper: {prefix + name: value for name, value in weights.items()}, "epoch": 3}
    assert same(read_weights(saved(wrapped, tmp_path / "a.pt")), weights)


def test_a_prefix_that_only_some_names_have_is_part_of_them(tmp_path):
    weights = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert same(read_weights(saved(weights, tmp_path / "a.pt")), weights)


def test_safetensors_are_read(tmp_path, weights):
    safetensors.torch.save_file(weights, tmp_path / "a.safetensors")
    assert same(read_weights(tmp_path / "a.safetensors"), weights)


def test_weights_under_a_scripts_own_names_load_completely(tmp_path, weights):
    network = cifar.resnet8(10)
    renamed = {"module." + name.replace("fc.", "linear."): value for name, value in weights.items()}
    load_weights(network, saved({"state_dict": renamed}, tmp_path / "a.pt"))
    assert all(
        torch.equal(value.float(), weights[name].to(value.dtype).float())
        for name, value in network.state_dict().items()
    )


def test_loading_leaves_no_hook_behind(tmp_path, weights):
    network = cifar.resnet8(10)
    hooks = len(network._load_state_dict_pre_hooks)
    load_weights(network, saved(weights, tmp_path / "a.pt"))
    assert len(network._load_state_dict_pre_hooks) == hooks


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=rf"{SETTING}: no file at .*none\.pt; give a \.safetensors"):
        read_weights(tmp_path / "none.pt", setting=SETTING)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_file_cut_short_is_named(tmp_path, weights, kind, share):
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pt")
    if kind == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadInput, match=rf"{SETTING}: .* bytes\) cannot be read: it is cut short, damaged or"):
        read_weights(path, setting=SETTING)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x00" * 100, b"\x80\x02garbage"])
def test_a_file_of_something_else_is_named(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read: it is cut short, damaged or no weights file"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "found"),
    [({"epoch": 3}, " by name, only epoch"), (torch.zeros(3), ", only Tensor"), ({}, "")],
)
def test_the_error_for_a_file_without_named_tensors_names_its_content(tmp_path, content, found):
    with pytest.raises(BadInput, match=rf"{SETTING}: .* holds no tensors{found}.*; expected a state dict"):
        read_weights(saved(content, tmp_path / "a.pt"), setting=SETTING)


def test_another_number_of_classes_is_reported_as_such(tmp_path):
    path = saved(cifar.resnet8(100).state_dict(), tmp_path / "a.pt")
    message = rf"{SETTING}: .* the checkpoint predicts 100 classes, the data has 10 \(fc\.weight, fc\.bias\)"
    with pytest.raises(BadInput, match=message):
        load_weights(cifar.resnet8(10), path, setting=SETTING)


def test_another_width_is_not_reported_as_a_class_count(tmp_path):
    path = saved(cifar.resnet8(10, widths=(16, 16, 32, 128)).state_dict(), tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"differently shaped layer3\.0\.conv1\.weight \(128, 32, 3, 3\) instead of "):
        load_weights(cifar.resnet8(10), path)


def test_missing_and_unexpected_names_are_counted_after_five(tmp_path):
    path = saved({f"other{index}": torch.zeros(1) for index in range(7)}, tmp_path / "a.pt")
    with pytest.raises(BadInput) as caught:
        load_weights(nn.Sequential(*(nn.Linear(1, 1) for _ in range(3))), path)
    assert "missing 0.weight, 0.bias, 1.weight, 1.bias, 2.weight and 1 more" in str(caught.value)
    assert "unexpected other0, other1, other2, other3, other4 and 2 more" in str(caught.value)


def test_other_features_below_other_classes_are_not_only_a_class_count(tmp_path):
    path = saved(nn.Linear(16, 12).state_dict(), tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"differently shaped weight \(12, 16\) instead of \(10, 8\), bias"):
        load_weights(nn.Linear(8, 10), path)

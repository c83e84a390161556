"""INT8 files: every convolution in INT8, ranges from images that are no test, and clear errors."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from kdlab.data import Digits
from kdlab.data.image.base import ImageData
from kdlab.errors import BadInput
from kdlab.jobs.export.int8 import OnnxInt8
from kdlab.jobs.export.samples import calibration_samples, training_set


def optimised(file, folder):
    """The operators that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimised.onnx"), 3
    onnxruntime.InferenceSession(str(file), options)
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


def test_onnx_runtime_runs_every_convolution_in_int8(files, tmp_path):
    exact, rounded = (optimised(files[name], tmp_path) for name in ("OnnxFile", "OnnxInt8"))
    assert rounded["QLinearConv"] == exact["Conv"] + exact["FusedConv"] == 7
    assert not rounded["Conv"] + rounded["FusedConv"]


def test_openvino_runs_every_convolution_in_int8(files):
    compiled = openvino.Core().compile_model(str(files["OpenvinoInt8"]), "CPU")
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    types = [str(one["runtimePrecision"].value) for one in layers if one["layerType"].value == "Convolution"]
    assert len(types) == 7
    assert set(types) <= {"u8", "i8"}


def test_takes_a_third_of_the_bytes_in_one_file(files):
    exact, rounded = files["OnnxFile"].stat().st_size, files["OnnxInt8"].stat().st_size
    assert 2.8 < exact / rounded < 4
    assert not onnx.load(files["OnnxInt8"], load_external_data=False).graph.initializer[0].external_data


def test_weights_are_rounded_to_a_127th_of_their_channels_largest(files):
    """The definition of symmetric quantisation by channel, beside what ONNX Runtime wrote."""
    exact, rounded = (
        {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(files[name]).graph.initializer}
        for name in ("OnnxFile", "OnnxInt8")
    )
    names = [name for name, array in exact.items() if array.ndim == 4]
    assert len(names) == 7
    for name in names:
        scale = np.abs(exact[name]).max(axis=(1, 2, 3)) / 127
        np.testing.assert_allclose(rounded[f"{name}_scale"], scale, rtol=1e-5)
        restored = rounded[f"{name}_quantized"] * scale[:, None, None, None]
        assert (np.abs(restored - exact[name]) <= 0.5001 * scale[:, None, None, None]).all()


def digits(**settings):
    return {"_target_": "kdlab.data.Digits", "batch_size": 32, **settings}


def test_calibration_takes_held_out_images_that_are_no_test():
    samples = calibration_samples(training_set(digits()), 50)
    assert samples.shape == (50, 3, 32, 32)
    module = Digits(batch_size=32)
    module.setup()
    held_out = {tuple(image.flatten().tolist()) for batch in module.val_dataloader() for image in batch.inputs}
    test = {tuple(image.flatten().tolist()) for batch in module.test_dataloader() for image in batch.inputs}
    chosen = {tuple(image.flatten().tolist()) for image in samples}
    assert chosen <= held_out
    assert not chosen & test


def test_without_a_held_out_part_training_images_are_taken_as_they_are():
    samples = calibration_samples(training_set(digits(val_fraction=0.0)), 64)
    module = Digits(batch_size=32, val_fraction=0.0)
    module.setup()
    (images,) = module.inputs("train", [module.visits(0)])
    assert len(samples) == 64
    assert {tuple(one.flatten().tolist()) for one in samples} <= {tuple(one.flatten().tolist()) for one in images}


@pytest.mark.parametrize("count", [0, 9, 2.5, None])
def test_fewer_samples_than_classes_are_refused(count):
    text = (
        r"export\.calibration_samples must be a whole number, 10 or more: one for each class.*calibration_samples=256"
    )
    with pytest.raises(BadInput, match=text):
        calibration_samples(training_set(digits()), count)


def test_a_class_without_a_sample_is_refused(monkeypatch):
    def without_sevens(data, count):
        batch = original(data, count)
        kept = batch.targets != 7
        return batch._replace(inputs=batch.inputs[kept], targets=batch.targets[kept])

    original = ImageData.held_out
    monkeypatch.setattr(ImageData, "held_out", without_sevens)
    with pytest.raises(
        BadInput, match=r"calibration_samples must bring a sample of each class, got .* without 7\. Take"
    ):
        calibration_samples(training_set(digits()), 64)


def test_a_users_own_data_module_is_calibrated_on_its_loaders(tmp_path, monkeypatch):
    source = """
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

class Own(LightningDataModule):
    num_classes = 3
    def __init__(self, first=0):
        super().__init__()
        self.first = first
    def loader(self, start):
        images = (torch.arange(12).view(12, 1, 1, 1) + start).expand(12, 3, 4, 4).to(torch.uint8)
        return DataLoader(TensorDataset(images, torch.arange(12) % 3), batch_size=4)
    def train_dataloader(self): return self.loader(0)
    def val_dataloader(self): return self.loader(self.first) if self.first else []
    def test_dataloader(self): return self.loader(100)
"""
    (tmp_path / "own_data.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for first in (0, 50):
        samples = calibration_samples(training_set({"_target_": "own_data.Own", "first": first}), 5)
        assert samples[:, 0, 0, 0].tolist() == list(range(first, first + 5))


def test_a_node_that_is_kept_in_float_keeps_its_weights(store, export, tmp_path):
    job = next(job for job in export.jobs if isinstance(job, OnnxInt8))
    node = next(one for one in onnx.load(job.source.file(store.folder(job.source))).graph.node if one.op_type == "Gemm")
    kept = replace(job, keep_float=(node.name,))
    kept.run(tmp_path, [store.folder(job.source)], lambda event: None)
    names = {one.name: one.data_type for one in onnx.load(kept.file(tmp_path)).graph.initializer}
    assert names[node.input[1]] == onnx.TensorProto.FLOAT
    assert kept.fingerprint != job.fingerprint


def test_an_unknown_node_is_refused_with_some_that_exist(store, export, tmp_path):
    job = next(job for job in export.jobs if isinstance(job, OnnxInt8))
    text = r"export\.keep_float must name nodes of resnet8\.onnx, got conv99\. For example: .*conv"
    with pytest.raises(BadInput, match=text):
        replace(job, keep_float=("conv99",)).run(tmp_path, [store.folder(job.source)], lambda event: None)

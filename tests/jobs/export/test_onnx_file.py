"""The float32 ONNX file computes what the student does, at any batch size, and has nothing of this machine in it."""

import getpass
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from kdlab.errors import BadInput, JobFailed
from kdlab.jobs.export.onnx_file import PREPARED, OnnxFile, cut, exported, without_traces
from kdlab.models.network import Network


@pytest.mark.parametrize("batch", [1, 3, 128])
@pytest.mark.parametrize("engine", [onnxruntime.InferenceSession, ReferenceEvaluator])
def test_computes_the_students_logits_at_any_batch_size(engine, batch, files, images, expected):
    (logits,) = engine(str(files["OnnxFile"])).run(["logits"], {"images": images[0][:batch].numpy()})
    assert logits.shape == (batch, 10)
    np.testing.assert_allclose(logits, expected[:batch], atol=1e-4 * expected.abs().max().item())


def test_has_the_interface_that_every_artifact_has(files):
    model = onnx.load(files["OnnxFile"])
    onnx.checker.check_model(model, full_check=True)
    (taken,), (given,) = model.graph.input, model.graph.output
    shape = [dim.dim_param or dim.dim_value for dim in taken.type.tensor_type.shape.dim]
    assert (taken.name, given.name) == ("images", "logits")
    assert shape == ["batch", 3, 32, 32]
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 20)]


def test_says_where_it_comes_from(files, student):
    about = {one.key: one.value for one in onnx.load(files["OnnxFile"]).metadata_props}
    assert json.loads(about["labels"]) == [str(digit) for digit in range(10)]
    assert (about["network"], about["stage"], json.loads(about["teachers"])) == (
        "resnet8",
        student.fingerprint,
        ["resnet8"],
    )


def contents(file):
    """Its bytes; of an archive those of every member."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return file.read_bytes()


def test_no_file_has_a_path_a_user_or_a_stack_trace(export):
    here = [Path(__file__).parents[3], Path.home(), sys.prefix, export.store.root, export.store.root.parent]
    traces = ['File "', "stack_trace", "site-packages", f"/{getpass.getuser()}/", "Traceback"]
    files = [file for job in export.jobs for file in job.files(export.store.folder(job))]
    assert len(files) == 7
    for file in files:
        for text in (*map(str, here), *traces):
            assert text.encode() not in contents(file), (file.name, text)


def test_the_bare_network_takes_prepared_images(files, student, images, expected):
    session = onnxruntime.InferenceSession(files["OnnxFile"].with_name("bare.onnx"))
    mean, std = (np.array(student.config["network"][name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))
    prepared = (images[0][:5].numpy().astype(np.float32) / 255 - mean) / std
    (logits,) = session.run(None, {PREPARED: prepared})
    np.testing.assert_allclose(logits, expected[:5], atol=1e-4 * expected.abs().max().item())


class ReadsItsBatch(torch.nn.Module):
    def forward(self, images):
        start = torch.ones(1, 5).expand(images.shape[0], -1)  # as the class token of a transformer
        return start + images.flatten(1)[:, :5]


def test_the_bare_network_may_read_the_size_of_its_batch(tmp_path):
    network = Network(ReadsItsBatch(), mean=[0.5] * 3, std=[0.25] * 3).eval()
    model = exported(network, torch.zeros(2, 3, 4, 4, dtype=torch.uint8), 20)
    without_traces(model)
    cut(model, tmp_path / "bare.onnx")
    prepared = torch.rand(7, 3, 4, 4)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "bare.onnx").run(None, {PREPARED: prepared.numpy()})
    np.testing.assert_allclose(logits, network.module(prepared), rtol=1e-6)


def test_another_resolution_is_inside_too():
    """Pixels are resized as `Network` does, with antialiasing."""
    torch.manual_seed(0)
    network = Network(torch.nn.Flatten(), mean=None, std=None, image_size=5).eval()
    images = torch.randint(0, 256, (2, 3, 9, 9), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(exported(network, images, 20).SerializeToString())
    (logits,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(logits, network(images), atol=2e-6)


class Branching(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1) if images.sum() > 3 else -images.flatten(1)


class Exotic(torch.nn.Module):
    def forward(self, images):
        return torch.special.bessel_j0(images).flatten(1)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Branching(), r"torch's ONNX exporter refuses the network: Could not guard.*branches on values of its input"),
        (Exotic(), r"No ONNX function found for .*bessel_j0.*ONNX has no such operator: write that layer with others"),
    ],
)
def test_a_network_that_cannot_be_exported_is_one_line(module, text, capfd):
    network = Network(module, mean=None, std=None).eval()
    with pytest.raises(JobFailed, match=text) as raised:
        exported(network, torch.zeros(2, 3, 4, 4, dtype=torch.uint8), 20)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("opset", [7, "20", 99])
def test_an_unknown_opset_is_refused(opset, student):
    with pytest.raises(BadInput, match=r"export\.opset must be a whole number from 18 to 23, got .*opset=20"):
        OnnxFile(student, opset)

"""Exports of published networks on all of CIFAR-10: `make test-real`, with KDLAB_DATA set."""

from collections import Counter

import onnx
import onnxruntime
import pytest
import torch

from kdlab.config.compose import compose_config
from kdlab.jobs.export import int8
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.settings import ExportSettings
from kdlab.jobs.stages import teacher_stage
from kdlab.runtime.executor import execute
from kdlab.runtime.export import run_export
from kdlab.screen.run import Screen
from kdlab.store.store import Store
from tests.conftest import shared_data
from tests.test_real_data import cifar  # noqa: F401  a fixture

pytestmark = pytest.mark.real_data
PUBLISHED = {"resnet20": "resnet20-12fca82f.th", "resnet56": "resnet56-4bfd9763.th"}
QUICK = {"batches": [1], "threads": [1], "rounds": 1}
BOTH = ("onnxruntime", "openvino")


def stage_of(name, folder, outputs):
    """A published network, evaluated."""
    weights = f"model.teacher.checkpoint={shared_data() / 'teachers' / PUBLISHED[name]}"
    stage = teacher_stage(compose_config(["data=cifar10", f"model/teacher={name}", weights, f"paths.data={folder}"]))
    store = Store(outputs)
    execute([stage], store, Screen())
    return FinishedStage.at(store.folder(stage)), store


@pytest.fixture(params=PUBLISHED)
def published(request, cifar, tmp_path):  # noqa: F811
    return stage_of(request.param, cifar, tmp_path)


def test_float32_is_the_student_and_int8_agrees_with_it(published, tmp_path):
    """Drop of at most 0.3 points, agreement of at least 99.0 %, a third of the size, every convolution in INT8."""
    student, store = published
    artifacts = ("onnx", "onnx_int8", "openvino_int8")
    export = run_export(student, ExportSettings(artifacts=artifacts, engines=BOTH, measure=QUICK), store, [Screen()])
    pairs = {(one["artifact"].removeprefix(student.network), one["engine"]): one for one in export.content["pairs"]}
    for engine in BOTH:
        exact = pairs[".onnx", engine]
        assert exact["samples"] == 10_000
        assert exact["agreement"] >= 99.99
        assert exact["largest_difference"] <= 1e-4 * exact["largest_logit"]
    for pair in ((".onnx", "onnxruntime"), ("-int8.onnx", "onnxruntime"), ("-int8-openvino.xml", "openvino")):
        assert pairs[pair]["drop"] <= 0.3
        assert pairs[pair]["agreement"] >= 99.0
    sizes = {one["artifact"].removeprefix(student.network): one["size_bytes"] for one in export.content["artifacts"]}
    assert sizes[".onnx"] / sizes["-int8.onnx"] >= 3.3
    assert not export.content["refused"]
    check_operators(*(job.file(store.folder(job)) for job in export.jobs[:2]), tmp_path / "optimised.onnx")


def check_operators(exact, rounded, optimised):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(optimised), 3
    onnxruntime.InferenceSession(str(rounded), options)
    count, run = (Counter(node.op_type for node in onnx.load(file).graph.node) for file in (exact, optimised))
    assert run["QLinearConv"] == count["Conv"] > 0
    assert not run["Conv"] + run["FusedConv"]


def test_calibration_on_noise_is_refused_by_its_agreement(cifar, tmp_path, monkeypatch):  # noqa: F811
    """Of ResNet-56; its agreement gives it away, whatever it loses of accuracy."""
    student, store = stage_of("resnet56", cifar, tmp_path)
    real = int8.calibration_samples

    def noise(settings, count):
        torch.manual_seed(0)
        return torch.randint_like(real(settings, count).int(), 0, 256).to(torch.uint8)

    monkeypatch.setattr(int8, "calibration_samples", noise)
    settings = ExportSettings(artifacts=("onnx", "onnx_int8"), max_drop=5.0, measure=QUICK)
    export = run_export(student, settings, store, [Screen()])
    assert not export.is_complete
    assert "less than export.min_agreement=99" in export.content["refused"]["resnet56-int8.onnx"][-1]
    assert export.content["layers"]["resnet56-int8.onnx"]
    assert export.content["recommended"]["artifact"] == "resnet56.onnx"

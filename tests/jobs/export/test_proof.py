"""Proofs say what a second calculation says, refuse what they should, and an engine that fails is a result."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.special import log_softmax

from kdlab.jobs.export import proof as proofs
from kdlab.jobs.export.proof import OTHER_BATCHES, Proof, ReferenceCheck, StudentLogits
from kdlab.jobs.export.settings import ExportSettings
from kdlab.jobs.export.verdicts import check_failures, choice, refusals
from kdlab.models.saved import load_predictions
from kdlab.runtime.executor import execute
from kdlab.tasks.description import IMAGE_CLASSIFICATION


@pytest.fixture(scope="module")
def int8(export):
    return next(one for one in export.content["pairs"] if one["artifact"] == "resnet8-int8.onnx")


def test_figures_are_those_of_a_second_calculation(int8, files, images, expected, student):
    pixels, labels = (one.numpy() for one in images)
    (logits,) = onnxruntime.InferenceSession(files["OnnxInt8"]).run(None, {"images": pixels})
    exact = expected.numpy()
    difference = log_softmax(exact.astype(float), axis=1) - log_softmax(logits.astype(float), axis=1)
    divergence = (np.exp(log_softmax(exact.astype(float), axis=1)) * difference).sum(1).mean()
    right, exactly_right = (100 * (one.argmax(1) == labels).mean() for one in (logits, exact))
    assert (int8["engine"], int8["samples"]) == ("onnxruntime", 500)
    assert int8["test/accuracy"] == pytest.approx(right)
    assert int8["drop"] == pytest.approx(exactly_right - right, abs=1e-9)
    assert int8["agreement"] == pytest.approx(100 * (logits.argmax(1) == exact.argmax(1)).mean())
    assert int8["kl_to_student"] == pytest.approx(divergence, rel=1e-3)
    assert int8["largest_difference"] == pytest.approx(np.abs(logits - exact).max(), rel=1e-2)
    assert int8["largest_logit"] == pytest.approx(np.abs(exact).max(), rel=1e-5)
    teacher, _ = load_predictions(student.teachers[0][0].folder)
    assert int8["agreement_with_teacher"] == pytest.approx(100 * (logits.argmax(1) == teacher.argmax(1).numpy()).mean())


def test_the_student_is_evaluated_by_its_definition(student, store, images, expected):
    execute([StudentLogits(student)], store, lambda event: None)
    logits, labels = load_predictions(store.folder(StudentLogits(student)))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert labels.tolist() == images[1].tolist()


def test_float32_differs_by_rounding_alone_in_both_engines(export):
    pairs = [one for one in export.content["pairs"] if one["artifact"] == "resnet8.onnx"]
    assert [one["engine"] for one in pairs] == ["onnxruntime", "openvino"]
    for one in pairs:
        assert one["agreement"] >= 99.99
        assert one["largest_difference"] <= 1e-4 * one["largest_logit"]


def test_an_artifact_that_depends_on_the_batch_is_seen(export, store, monkeypatch, tmp_path):
    """At batches other than 128 the engine answers something else."""
    job = export.jobs[0]

    def opened(engine, file):
        run = original(engine, file)
        return lambda inputs: run(inputs) + (7.0 if len(inputs["images"]) in OTHER_BATCHES else 0.0)

    original = proofs.opened
    monkeypatch.setattr(proofs, "opened", opened)
    proof = Proof(job, "onnxruntime")
    figures = proof.run(tmp_path, [store.folder(need) for need in proof.needs], lambda event: None)
    assert figures["agreement"] == 100
    assert figures["largest_difference"] == pytest.approx(7.0, abs=1e-3)


def test_an_engine_that_fails_is_a_result(export, store, tmp_path):
    job = next(job for job in export.jobs if job.name.endswith(".pt2"))
    proof = Proof(job, "onnxruntime")
    figures = proof.run(tmp_path, [store.folder(need) for need in proof.needs], lambda event: None)
    assert figures["error"].startswith("onnxruntime cannot open resnet8.pt2: ")
    assert proof.outcome(figures, reused=False).startswith("proved    onnxruntime cannot open")
    assert refusals(figures, "float32", ExportSettings(), IMAGE_CLASSIFICATION) == [figures["error"]]


def test_the_reference_implementation_agrees_with_the_engine(export, store, tmp_path):
    """Of INT8 too: rounded otherwise, by less than the rounding to INT8 itself."""
    for job, precision in ((export.jobs[0], "float32"), (export.jobs[1], "int8")):
        check = ReferenceCheck(Proof(job, "onnxruntime"))
        figures = check.run(tmp_path, [store.folder(need) for need in check.needs], lambda event: None)
        assert (figures["engine"], figures["beside"], figures["samples"]) == ("onnx", "onnxruntime", 64)
        assert not check_failures(figures, precision, ExportSettings())
        wrong = {**figures, "largest_difference": 2 * figures["largest_logit"]}
        (reason,) = check_failures(wrong, precision, ExportSettings())
        assert "onnxruntime and the reference implementation of ONNX differ by up to" in reason


PROOF = {"drop": 0.2, "agreement": 99.5, "largest_difference": 0.001, "largest_logit": 20.0}


@pytest.mark.parametrize(
    ("precision", "found", "reason"),
    [
        ("int8", {}, None),
        ("float32", {}, None),
        ("int8", {"drop": 1.01}, "accuracy falls by 1.01 points, more than export.max_drop=1"),
        ("float32", {"drop": 1.01}, "accuracy falls by 1.01 points, more than export.max_drop=1"),
        (
            "int8",
            {"agreement": 98.9},
            "it predicts as the student does on 98.90 % of the test samples, less than export.min_agreement=99",
        ),
        ("int8", {"largest_difference": 5.0}, None),
        (
            "float32",
            {"largest_difference": 0.01},
            "its logits differ from the student's by up to 5.0e-04 of the largest logit, more than "
            "export.max_difference=0.0001",
        ),
    ],
)
def test_limits_refuse_with_the_reason(precision, found, reason):
    reasons = refusals({**PROOF, **found}, precision, ExportSettings(), IMAGE_CLASSIFICATION)
    assert reasons == ([] if reason is None else [reason])


@dataclass
class Pair:
    """A measured artifact, for the choice among several."""

    precision: str
    milliseconds: tuple[float, ...]  # by round
    megabytes: float = 1.0
    accuracy: float = 90.0
    engine: str = "onnxruntime"

    @property
    def name(self):
        return f"student-{self.precision}-{self.engine}"


def chosen(*pairs, **budget):
    artifacts = [{"artifact": one.name, "precision": one.precision, "size_bytes": 1e6 * one.megabytes} for one in pairs]
    found = [
        {"artifact": one.name, "engine": one.engine, "test/accuracy": one.accuracy, "drop": 0.0, "agreement": 99.5}
        for one in pairs
    ]
    key = {"batch": 1, "threads": 1}
    rows = [
        {"round": number, "name": one.name, "engine": one.engine, **key, "p50": time / 1e3}
        for one in pairs
        for number, time in enumerate(one.milliseconds)
    ]
    summaries = [
        {"name": one.name, "engine": one.engine, **key, "p50": float(np.median(one.milliseconds)) / 1e3}
        for one in pairs
    ]
    measured = {"rows": rows, "summaries": summaries}
    return choice(artifacts, found, measured, ExportSettings(**budget), IMAGE_CLASSIFICATION)


def test_int8_is_recommended_where_it_is_faster_in_every_round():
    result = chosen(Pair("float32", (2.0, 2.2, 4.0)), Pair("int8", (1.0, 1.1, 2.0)))["recommended"]
    assert (result["artifact"], result["int8_over_float32"]) == (
        "student-int8-onnxruntime",
        {"median": pytest.approx(2.0), "least": pytest.approx(2.0), "most": pytest.approx(2.0)},
    )


@pytest.mark.parametrize("int8", [(3.0, 3.0, 3.0), (1.9, 2.0, 2.1), (1.0, 1.0, 2.5), (1.97, 1.97, 1.97)])
def test_float32_is_recommended_where_int8_is_not_clearly_faster(int8):
    assert chosen(Pair("float32", (2.0, 2.0, 2.0)), Pair("int8", int8))["recommended"]["precision"] == "float32"


def test_the_fastest_engine_of_each_precision_is_compared():
    fast = Pair("int8", (0.8, 0.8), engine="openvino")
    pairs = [
        Pair("float32", (2.0, 2.0)),
        Pair("float32", (1.0, 1.0), engine="openvino"),
        Pair("int8", (3.0, 3.0)),
        fast,
    ]
    result = chosen(*pairs)["recommended"]
    assert (result["artifact"], result["int8_over_float32"]["median"]) == (fast.name, pytest.approx(1.25))


def test_budgets_say_what_each_misses_and_leave_it_out():
    pairs = Pair("float32", (2.0, 2.0), megabytes=4.0), Pair("int8", (1.0, 1.0), accuracy=88.0)
    result = chosen(*pairs, max_latency_ms=1.5, max_size_mb=2.0, min_accuracy=89.0)
    assert result["recommended"] is None
    assert result["budgets"] == {
        "student-float32-onnxruntime in onnxruntime": [
            "2 ms against export.max_latency_ms=1.5",
            "4 MB against export.max_size_mb=2",
        ],
        "student-int8-onnxruntime in onnxruntime": ["88.00 % against export.min_accuracy=89"],
    }
    assert chosen(*pairs, max_latency_ms=2.5, min_accuracy=89.0)["recommended"]["precision"] == "float32"
    assert "budgets" not in chosen(*pairs)


def test_nothing_measured_is_nothing_recommended():
    assert chosen()["recommended"] is None


def test_fingerprints_change_with_what_matters(export):
    job = export.jobs[1]
    assert Proof(job, "onnxruntime").fingerprint != Proof(job, "openvino").fingerprint
    assert Proof(job, "onnxruntime").fingerprint == Proof(replace(job), "onnxruntime").fingerprint
    assert replace(job, calibration_samples=64).fingerprint != job.fingerprint
    assert json.loads((Path(export.store.folder(job)) / "result.json").read_text())["artifact"] == job.name

"""The cascade and the shadow, with two real artifacts: a student that is unsure, and a teacher that disagrees."""

import asyncio

import numpy as np
import pytest
from scipy.special import softmax

from kdlab.errors import BadInput, JobFailed
from kdlab.serving.model import Signature
from kdlab.serving.service import check_teacher
from tests.serving.tiny import client_of, images, picture, reference, service_of, tensor, write_export

pytestmark = pytest.mark.anyio
HARD, OTHER = 40.0, (1, 2, 0)
INFER = "/v2/models/student/infer"


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    teacher = write_export(folder / "export-teacher", "teacher", order=OTHER)
    return write_export(folder / "export-student", "student", hardness=HARD, teachers=["teacher"]), teacher


async def asked(service, content):
    async with client_of(service) as client:
        answer = await client.post(INFER, json=content)
        assert answer.status_code == 200, answer.text
        return answer.json()


def logits_of(answer):
    (output,) = answer["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


async def test_the_teacher_predicts_what_the_student_is_unsure_of(exports):
    inputs = images(4)
    ours, theirs = reference(inputs, HARD), reference(inputs, order=OTHER)
    sure = np.sort(softmax(ours, axis=1).max(1))
    threshold = float(sure[1:3].mean())  # two of four
    service = service_of(exports[0], teacher=exports[1], threshold=threshold)
    answer = await asked(service, tensor(inputs))
    unsure = softmax(ours, axis=1).max(1) < threshold
    np.testing.assert_allclose(logits_of(answer), np.where(unsure[:, None], theirs, ours), rtol=1e-5)
    assert answer["parameters"] == {"deferred": 2}
    assert service.metrics.registry.get_sample_value("kdlab_serve_deferred_total") == 2
    service.close()


@pytest.mark.parametrize(("how", "reason"), [("absent", "absent"), ("failing", "failed"), ("slow", "late")])
async def test_without_its_teacher_the_student_answers_and_says_so(exports, how, reason, monkeypatch):
    service = service_of(exports[0], teacher=exports[1], threshold=1.0, timeout_s=0.05)
    teacher = service.predictor.teacher
    blocked = asyncio.Event()
    if how == "absent":
        teacher.close()
        service.predictor.teacher = None
    elif how == "failing":
        monkeypatch.setattr(teacher, "_run", failing)
    else:
        monkeypatch.setattr(teacher, "_tickets", NeverRun())
    inputs = images(2)
    answer = await asked(service, tensor(inputs))
    np.testing.assert_allclose(logits_of(answer), reference(inputs, HARD), rtol=1e-5)
    assert answer["parameters"] == {"deferred": 0, "teacher_failure": reason}
    labels = {"reason": reason}
    assert service.metrics.registry.get_sample_value("kdlab_serve_teacher_failures_total", labels) == 1
    async with client_of(service) as client:
        assert (await client.get("/v2/health/ready")).status_code == 200
        found = (await client.post("/predict", content=picture())).json()
    assert (found["label"], found["teacher_failure"]) == ("red", reason)
    blocked.set()
    service.close()


def failing(rows):
    raise JobFailed("out of memory")


class NeverRun(list):
    """A queue of which the engine's thread sees nothing."""

    def __bool__(self):
        return False


async def test_a_teacher_whose_engine_fails_at_the_start_is_left_out(exports, monkeypatch):
    service = service_of(exports[0], teacher=exports[1], threshold=1.0, loaded=False)
    from kdlab.serving import service as module

    opened = module.Model

    def model(artifact, threads):
        if artifact.network == "teacher":
            raise JobFailed("onnxruntime cannot open teacher.onnx")
        return opened(artifact, threads)

    monkeypatch.setattr(module, "Model", model)
    said = {}
    service.load(said.__setitem__)
    assert said["teacher"] == "left out, the student answers everything: onnxruntime cannot open teacher.onnx"
    assert (await asked(service, tensor(images(1))))["parameters"] == {"deferred": 0, "teacher_failure": "absent"}
    service.close()


def test_a_teacher_of_other_data_is_refused():
    ours = Signature("images", "UINT8", (3, 4, 4), "logits", ("a", "b"))
    for theirs, what in (
        (Signature("images", "FP32", (3, 4, 4), "logits", ("a", "b")), "datatype"),
        (Signature("images", "UINT8", (3, 8, 8), "logits", ("a", "b")), "shape"),
        (Signature("images", "UINT8", (3, 4, 4), "logits", ("b", "a")), "labels"),
    ):
        with pytest.raises(BadInput, match=rf"serve\.teacher: the {what} of big\.onnx must be the student's"):
            check_teacher(theirs, ours, "big.onnx")


async def watched(service, count):
    """The summary of the shadow after so many requests of one image each."""
    inputs = images(count)
    async with client_of(service) as client:
        for one in inputs:
            assert (await client.post(INFER, json=tensor(one[None]))).status_code == 200
        while service.predictor._shadows:
            await asyncio.sleep(0.001)
        summary = (await client.get("/drift")).json()
        await client.get("/metrics")
    agreed = reference(inputs).argmax(1) == reference(inputs, order=OTHER).argmax(1)
    return summary, agreed


@pytest.mark.parametrize("threshold", [None, 1.0])  # also where the teacher has predicted them already
async def test_the_shadow_compares_a_share_of_requests(exports, threshold):
    service = service_of(exports[0], teacher=exports[1], threshold=threshold, shadow=0.5)
    summary, agreed = await watched(service, 20)
    second = agreed[1::2]
    assert (summary["samples"], summary["agreement"], summary["skipped"]) == (10, second.mean(), 0)
    assert summary["agreement_at_export"] == 0.9 and summary["is_below"] is True
    values = service.metrics.registry.get_sample_value
    assert values("kdlab_serve_shadow_agreement", {"figure": "live"}) == second.mean()
    assert values("kdlab_serve_shadow_is_below") == 1
    service.close()


async def test_a_shadow_that_has_no_room_is_skipped(exports, monkeypatch):
    service = service_of(exports[0], teacher=exports[1], shadow=1.0)
    monkeypatch.setattr("kdlab.serving.predictor.MOST_SHADOWS", 0)
    summary, _ = await watched(service, 3)
    assert (summary["samples"], summary["skipped"]) == (0, 3)
    service.close()


async def test_without_a_shadow_there_is_no_drift(exports):
    service = service_of(exports[0])
    async with client_of(service) as client:
        answer = await client.get("/drift")
    assert answer.status_code == 404 and "serve.shadow=0.01" in answer.json()["error"]
    service.close()

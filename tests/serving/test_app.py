"""The HTTP interface in this process, with a real artifact: the protocol, image files, errors, the token, metrics."""

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scipy.special import softmax

from kdlab.errors import JobFailed
from kdlab.settings.version import VERSION
from tests.serving.tiny import LABELS, client_of, images, picture, reference, service_of, tensor, write_export

pytestmark = pytest.mark.anyio
MODEL = "/v2/models/tiny"


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("app") / "export-tiny")


@pytest.fixture(scope="module")
def service(export):
    service = service_of(export, max_body_mb=0.01, max_megapixels=0.01)
    yield service
    service.close()


@pytest.fixture
def ask(service):
    """Asks for a path, and returns status and answer."""

    async def asked(method, path, **options):
        async with client_of(service) as client:
            answer = await client.request(method, path, **options)
            return answer.status_code, answer.json()

    return asked


async def test_the_server_and_the_model_say_what_they_are(ask, service):
    version = service.artifact.version
    assert await ask("GET", "/v2") == (200, {"name": "kdlab", "version": VERSION, "extensions": ["binary_tensor_data"]})
    assert await ask("GET", "/v2/health/live") == (200, {"live": True})
    assert await ask("GET", "/v2/health/ready") == (200, {"live": True, "ready": True})
    metadata = {
        "name": "tiny",
        "versions": [version],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 3, 4, 4]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
    }
    for path in (MODEL, f"{MODEL}/versions/{version}"):
        assert await ask("GET", path) == (200, metadata)
        assert await ask("GET", f"{path}/ready") == (200, {"name": "tiny", "ready": True})


@pytest.mark.parametrize("count", [1, 4])
async def test_it_infers_what_the_network_does(ask, service, count):
    inputs, version = images(count), service.artifact.version
    for path in (f"{MODEL}/infer", f"{MODEL}/versions/{version}/infer"):
        status, answer = await ask("POST", path, json=tensor(inputs, id="42"))
        (output,) = answer.pop("outputs")
        assert (status, answer) == (200, {"model_name": "tiny", "model_version": version, "id": "42"})
        assert (output["name"], output["datatype"], output["shape"]) == ("logits", "FP32", [count, 3])
        np.testing.assert_allclose(np.reshape(output["data"], (count, 3)), reference(inputs), rtol=1e-6)


@pytest.mark.parametrize(
    "sent",
    [
        {"content": picture((200, 10, 100))},
        {"files": {"anything": ("photo.png", picture((200, 10, 100)))}},
        {"files": {"file": picture((200, 10, 100))}, "data": {"note": "hello"}},
    ],
    ids=["body", "form", "form with a field"],
)
async def test_it_labels_an_image_file(ask, sent):
    status, answer = await ask("POST", "/predict", **sent)
    shares = softmax([200.0, 10.0, 100.0])
    top = [{"label": LABELS[at], "probability": round(shares[at], 6)} for at in (0, 2, 1)]
    assert (status, answer) == (200, {**top[0], "top": top})


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("GET", "/nothing", {}, (404, "Not Found")),
        ("GET", "/docs", {}, (404, "Not Found")),
        ("GET", "/predict", {}, (405, "Method Not Allowed")),
        ("GET", "/v2/models/other", {}, (404, "the only model is tiny, version ")),
        ("GET", "/v2/models/other/ready", {}, (404, "the only model is tiny, version ")),
        ("POST", f"{MODEL}/versions/2/infer", {"json": {}}, (404, "the only model is tiny, version ")),
        ("POST", f"{MODEL}/infer", {"content": b"no"}, (400, "the body is no JSON")),
        ("POST", f"{MODEL}/infer", {"json": tensor(images(5))}, (400, "the batch must be from 1 to 4 samples, got 5")),
        ("POST", "/predict", {"content": b""}, (400, "the body is no readable image (PNG, JPEG, WEBP)")),
        (
            "POST",
            "/predict",
            {"content": picture(size=(200, 200))},
            (413, "an image may have 0.01 megapixels, got 200 x"),
        ),
        ("POST", "/predict", {"content": bytes(10_001)}, (413, "a body may have 0.01 MB; serve.max_body_mb sets that")),
        ("POST", "/predict", {"files": {}, "data": {"a": "b"}}, (400, "the body is no readable image")),
        ("POST", "/predict", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, (400, "the form ")),
        (
            "POST",
            "/predict",
            {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            (400, "the form "),
        ),
        (
            "POST",
            "/predict",
            {"content": b"x", "headers": {"content-encoding": "gzip"}},
            (415, "Content-Encoding must be"),
        ),
        ("POST", "/predict", {"content": b"x", "headers": {"content-length": "-1"}}, (400, "Content-Length must be")),
    ],
)
async def test_what_is_wrong_is_one_line_of_json(ask, method, path, options, expected):
    status, message = expected
    found, answer = await ask(method, path, **options)
    assert (found, set(answer)) == (status, {"error"}), answer
    assert answer["error"].startswith(message) and "\n" not in answer["error"]


async def test_a_form_without_a_file_says_how_to_send_one(ask):
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert await ask("POST", "/predict", content=body, headers=headers) == (
        400,
        {"error": "the form must have a file: curl -F file=@photo.jpg"},
    )


async def test_a_body_without_a_length_is_counted_while_it_is_read(ask, service):
    async def parts():
        for _ in range(1000):
            sent.append(1)
            yield bytes(1000)

    sent = []
    status, answer = await ask("POST", "/predict", content=parts())
    assert (status, answer["error"]) == (413, "a body may have 0.01 MB; serve.max_body_mb sets that")
    assert service.bodies._pending == 0


async def test_bodies_that_are_held_are_bounded_together(export):
    service = service_of(export)
    service.bodies.most_pending = len(picture()) - 1
    async with client_of(service) as client:
        answer = await client.post("/predict", content=picture())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    service.close()


async def test_before_it_is_warmed_up_it_is_alive_and_not_ready(export):
    service = service_of(export, loaded=False)
    async with client_of(service) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        answers = [await client.get(path) for path in ("/v2/health/ready", f"{MODEL}/ready", MODEL)]
        answers += [await client.post(path, content=picture()) for path in ("/predict", f"{MODEL}/infer")]
    assert [answer.status_code for answer in answers] == [503] * 5
    assert answers[0].json() == {"live": True, "ready": False}
    assert answers[-1].headers["retry-after"] == "1"


async def test_every_batch_size_is_run_before_it_is_ready(export, monkeypatch):
    from kdlab.serving.model import Model

    sizes, run = [], Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda model, rows: (sizes.append(len(rows)), run(model, rows))[1])
    service = service_of(export, max_batch=5)
    assert sorted(set(sizes)) == [1, 2, 3, 4, 5]
    assert service.metrics.registry.get_sample_value("kdlab_serve_capacity_samples_per_second") > 0
    service.close()


async def test_a_token_is_needed_for_everything_but_probes(export):
    service = service_of(export, token="secret")
    paths = ("/v2", "/metrics", "/drift", MODEL, "/nothing", "/v2/health/live/", "//v2/health/live")
    async with client_of(service) as client:
        for path in paths:
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer secre", "Bearer secret2", "secret", "Basic secret"):
            assert (await client.post("/predict", headers={"Authorization": wrong})).status_code == 401
        assert (await client.get("/v2/health/ready")).status_code == 200
        right = {"Authorization": "Bearer secret"}
        assert (await client.post("/predict", content=picture(), headers=right)).status_code == 200
    values = service.metrics.registry.get_sample_value
    assert values("kdlab_serve_rejected_total", {"reason": "token"}) == len(paths) + 4
    service.close()


async def test_an_engine_that_fails_is_an_error_of_the_server_and_of_one_request(export, monkeypatch, caplog):
    service = service_of(export)
    run = service.predictor.student._run

    def failing(rows):
        raise JobFailed("onnxruntime fails: out of memory")

    async with client_of(service, raise_app_exceptions=False) as client:
        monkeypatch.setattr(service.predictor.student, "_run", failing)
        answer = await client.post("/predict", content=picture())
        assert (answer.status_code, answer.json()) == (500, {"error": "onnxruntime fails: out of memory"})
        monkeypatch.setattr(service.predictor.student, "_run", lambda rows: rows / "a bug")
        answer = await client.post("/predict", content=picture())
        assert (answer.status_code, set(answer.json())) == (500, {"error"})
        monkeypatch.setattr(service.predictor.student, "_run", run)
        assert (await client.post("/predict", content=picture())).status_code == 200
    assert not [record for record in caplog.records if record.name != "httpx"]  # which is the client
    service.close()


async def test_the_metrics_say_what_happened(export):
    service = service_of(export)
    async with client_of(service) as client:
        for content in (picture(), picture(), b"no image"):
            await client.post("/predict", content=content)
        await client.post(f"{MODEL}/infer", json=tensor(images(3)))
        await client.get("/v2/a/path/that/nobody/knows")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    counts = {
        name: found["kdlab_serve_phase_seconds_count", name] for name in ("decode", "queue", "inference", "total")
    }
    assert counts == {"decode": 3, "queue": 3, "inference": 3, "total": 3}
    assert found["kdlab_serve_batch_samples_sum",] == found["kdlab_serve_samples_total",] == 5
    assert found["kdlab_serve_rejected_total", "bad_request"] == 1
    assert found["kdlab_serve_requests_total", "predict", "200"] == 2
    assert found["kdlab_serve_requests_total", "predict", "400"] == 1
    assert found["kdlab_serve_requests_total", "other", "404"] == 1
    about = {"role": "student", "name": "tiny.onnx", "network": "tiny", "engine": "onnxruntime"}
    about["sha256"] = service.artifact.sha256["tiny.onnx"]
    assert service.metrics.registry.get_sample_value("kdlab_serve_artifact_info", about) == 1
    assert found["kdlab_serve_ready",] == 1
    assert found["kdlab_serve_rate_samples_per_second",] == 0.5
    assert found["kdlab_serve_queue_samples",] == 0
    service.close()


async def test_a_network_that_takes_no_raw_images_takes_tensors_only(tmp_path):
    from onnx import TensorProto

    service = service_of(write_export(tmp_path / "export-float", kind=TensorProto.FLOAT))
    async with client_of(service) as client:
        answer = await client.post("/predict", content=picture())
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            "tiny takes no image files: POST tensors to /v2/models",
        )
        inputs = images(2)
        content = tensor(inputs)
        content["inputs"][0]["datatype"] = "FP32"
        (output,) = (await client.post(f"{MODEL}/infer", json=content)).json()["outputs"]
    np.testing.assert_allclose(np.reshape(output["data"], (2, 3)), reference(inputs), rtol=1e-6)
    service.close()

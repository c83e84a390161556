"""The HTTP interface: the Open Inference Protocol (v2), `/predict` for image files, `/metrics` and `/drift`."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kdlab.errors import KdlabError
from kdlab.serving.cascade import probabilities
from kdlab.serving.metrics import Metrics
from kdlab.serving.model import Rows
from kdlab.serving.predictor import Prediction, Predictor
from kdlab.serving.refusals import Refused, bad_request
from kdlab.serving.service import Service
from kdlab.serving.tensors import HEADER_LENGTH, read_request, write_response
from kdlab.settings.version import VERSION

TOP = 5  # classes that /predict names
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")  # for probes, which have no token
SMALL = 65536  # bytes of JSON that are read without leaving the event loop
GONE = 499  # as nginx calls a request whose client has gone; nobody reads it
Load = Callable[[], Awaitable[None]]


def make_app(service: Service, load: Load) -> FastAPI:
    """The application of a service.

    Args:
        service: what it serves.
        load: is run when the application starts, and loads the service.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan(service, load))
    _add_protocol(app, service)
    _add_predict(app, service)
    _add_watch(app, service)
    app.add_exception_handler(Refused, _refused(service.metrics))
    app.add_exception_handler(KdlabError, _failed(service.metrics))
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(_Guard, token=service.settings.token, metrics=service.metrics)
    return app


def _lifespan(service: Service, load: Load) -> Callable[[FastAPI], Any]:
    async def refresh() -> None:
        while True:
            await asyncio.sleep(1)
            service.refresh()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(one) for one in (load(), refresh())]
        yield
        service.stopping.set()
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(service.close)

    return lifespan


def _add_protocol(app: FastAPI, service: Service) -> None:
    settings = service.settings

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        return {"name": "kdlab", "version": VERSION, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return JSONResponse({"live": True, "ready": service.is_ready}, 200 if service.is_ready else 503)

    @app.get("/v2/models/{name}/ready")
    @app.get("/v2/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str = "") -> Response:
        _check_name(service, name, version)
        return JSONResponse({"name": name, "ready": service.is_ready}, 200 if service.is_ready else 503)

    @app.get("/v2/models/{name}")
    @app.get("/v2/models/{name}/versions/{version}")
    async def model(name: str, version: str = "") -> dict[str, Any]:
        _check_name(service, name, version)
        _ready(service)
        return _metadata(service)

    async def infer(request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params.get("version", "")
        _check_name(service, name, version)
        predictor, signature = _ready(service), service.signature
        assert signature is not None
        async with service.bodies.read(request) as body:
            read = partial(read_request, body, request.headers.get(HEADER_LENGTH), signature, settings.max_batch)
            given = await _decoded(service.metrics, len(body), read)
            del body, read
        predicted = await _while_connected(request, predictor, given.rows)
        about: dict[str, Any] = {"model_name": name, "model_version": service.artifact.version}
        if parameters := predictor.describe(predicted):
            about["parameters"] = parameters
        content, headers = write_response(predicted.logits, given, about, signature.output)
        return Response(content, headers=headers)

    # Routes of Starlette: the parameters of FastAPI's take longer than a small network.
    app.add_route("/v2/models/{name}/infer", infer, methods=["POST"])
    app.add_route("/v2/models/{name}/versions/{version}/infer", infer, methods=["POST"])


def _add_predict(app: FastAPI, service: Service) -> None:
    async def predict(request: Request) -> Response:
        predictor, images, signature = _ready(service), service.images, service.signature
        if images is None or signature is None:
            raise bad_request(f"{service.artifact.network} takes no image files: POST tensors to /v2/models")
        async with service.bodies.read(request) as body:
            read = partial(images.rows, await _file_of(request, body))
            rows = await _decoded(service.metrics, SMALL + 1, read)
            del body, read
        predicted = await _while_connected(request, predictor, rows)
        answer = _labelled(predicted.logits, signature.labels)
        return _json({**answer, **predictor.describe(predicted)})

    app.add_route("/predict", predict, methods=["POST"])


def _add_watch(app: FastAPI, service: Service) -> None:
    @app.get("/metrics")
    async def metrics() -> Response:
        service.refresh()
        content, kind = service.metrics.exposition()
        return Response(content, headers={"Content-Type": kind})

    @app.get("/drift")
    async def drift() -> dict[str, Any]:
        watched = _ready(service).drift
        if watched is None:
            raise Refused(
                404, "bad_request", "no requests are shadowed: start with serve.teacher and serve.shadow=0.01"
            )
        return watched.summary()


def _ready(service: Service) -> Predictor:
    if service.predictor is None:
        raise Refused(503, "not_ready", "the model is being loaded; try again", {"Retry-After": "1"})
    return service.predictor


def _check_name(service: Service, name: str, version: str) -> None:
    artifact = service.artifact
    if name != artifact.network or version not in ("", artifact.version):
        known = f"{artifact.network}, version {artifact.version}"
        raise Refused(404, "bad_request", f"the only model is {known}")


def _metadata(service: Service) -> dict[str, Any]:
    signature, artifact = service.signature, service.artifact
    assert signature is not None
    given = {"name": signature.name, "datatype": signature.datatype, "shape": [-1, *signature.shape]}
    return {
        "name": artifact.network,
        "versions": [artifact.version],
        "platform": "onnx_onnxv1" if artifact.file.suffix == ".onnx" else "openvino",
        "inputs": [given],
        "outputs": [{"name": signature.output, "datatype": "FP32", "shape": [-1, len(signature.labels)]}],
    }


async def _decoded(metrics: Metrics, size: int, decode: Callable[[], Any]) -> Any:
    """Decodes a body: in a thread where that may take long, so that other requests go on."""
    started = time.perf_counter()
    decoded = decode() if size <= SMALL else await asyncio.to_thread(decode)
    metrics.phases["decode"].observe(time.perf_counter() - started)
    return decoded


async def _file_of(request: Request, body: bytes) -> bytes:
    """The first file of a form, or the body itself."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body

    async def parts() -> AsyncIterator[bytes]:
        yield body

    parser = MultiPartParser(request.headers, parts(), max_files=1, max_fields=10)  # type: ignore[arg-type]
    parser.spool_max_size = len(body) + 1  # in memory: a body is never written to a disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise bad_request(f"the form cannot be read: {str(error)[:100]}") from error
    files = [value for value in form.values() if not isinstance(value, str)]
    if not files:
        raise bad_request("the form must have a file: curl -F file=@photo.jpg")
    return await files[0].read()


async def _while_connected(request: Request, predictor: Predictor, rows: Rows) -> Prediction:
    """Predicts, unless the client goes before the engine has begun."""
    task, watch = asyncio.current_task(), asyncio.ensure_future(request.receive())
    assert task is not None

    def stop(_: Any) -> None:
        task.cancel()

    watch.add_done_callback(stop)
    try:
        return await predictor.predict(rows)
    except asyncio.CancelledError:
        if not watch.done() or watch.cancelled():
            raise
        task.uncancel()
        raise Refused(GONE, "gone", "the client has gone") from None
    finally:
        watch.remove_done_callback(stop)
        watch.cancel()


def _labelled(logits: Rows, labels: tuple[str, ...]) -> dict[str, Any]:
    shares = probabilities(logits[0].astype("float64")[None])[0]
    best = shares.argsort()[::-1][:TOP]
    top = [{"label": labels[at], "probability": round(float(shares[at]), 6)} for at in best]
    return {**top[0], "top": top}


def _json(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, "application/json")


def _refused(metrics: Metrics) -> Any:
    async def handler(request: Request, error: Refused) -> Response:
        metrics.rejected.labels(error.reason).inc()
        return _json({"error": error.message}, error.status, error.headers)

    return handler


def _failed(metrics: Metrics) -> Any:
    async def handler(request: Request, error: KdlabError) -> Response:
        metrics.rejected.labels("failed").inc()
        return _json({"error": str(error)}, 500)

    return handler


async def _broken(request: Request, error: Exception) -> Response:
    """A bug of the server's: its traceback is logged, which holds no values."""
    return _json({"error": f"internal error: {type(error).__name__}"}, 500)


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": str(error.detail)}, error.status_code, error.headers)


class _Guard:
    """Checks the token before anything is read, and measures every request.

    Args:
        app: that it guards.
        token: that requests must have; None for none.
        metrics: counts requests by status.
    """

    def __init__(self, app: ASGIApp, token: str | None, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._is_allowed(scope):
                await self.app(scope, receive, sending)
            else:
                self.metrics.rejected.labels("token").inc()
                refused = _json({"error": "a token is needed: Authorization: Bearer …"}, 401)
                refused.headers["WWW-Authenticate"] = "Bearer"
                await refused(scope, receive, sending)
        finally:
            path = _kind_of(scope["path"])
            self.metrics.requests.labels(path, str(status)).inc()
            if path in ("infer", "predict") and status == 200:
                self.metrics.phases["total"].observe(time.perf_counter() - started)

    def _is_allowed(self, scope: Scope) -> bool:
        if self.expected is None or scope["path"] in OPEN_PATHS:
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self.expected)


def _kind_of(path: str) -> str:
    """Few names, whatever paths clients ask for."""
    if path.startswith("/v2/models/") and path.endswith("/infer"):
        return "infer"
    return path[1:] if path in ("/predict", "/metrics", "/drift") else "other"

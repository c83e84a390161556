"""Exports of a network of a few numbers, as a run would leave them; the app in this process; a server on a socket.

The network's logits are the means of its three channels, divided by `hardness`: a large one makes it unsure.
"""

import contextlib
import hashlib
import io
import json
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import onnx
import uvicorn
from onnx import TensorProto, helper
from PIL import Image

from kdlab.serving.app import make_app
from kdlab.serving.artifact import find_artifact
from kdlab.serving.connection import guarded_protocol, listening_socket
from kdlab.serving.service import Service
from kdlab.serving.settings import ServeSettings

LABELS = ("red", "green", "blue")
SIDE = 4
SHAPE = (3, SIDE, SIDE)


def write_network(path, hardness=1.0, order=(0, 1, 2), kind=TensorProto.UINT8, data="CIFAR10"):
    """Writes an ONNX file with the metadata of an export.

    Args:
        path: of the file.
        hardness: what logits are divided by.
        order: the channel of each logit.
        kind: of the input's type.
        data: the name of the class of the run's data.
    """
    picked = helper.make_tensor("order", TensorProto.INT64, [3], list(order))
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [hardness])
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["floats"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gather", ["flat", "order"], ["ordered"], axis=1),
        helper.make_node("Div", ["ordered", "scale"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("images", kind, ["batch", *SHAPE])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [picked, scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(LABELS), "data": data})
    onnx.save(model, path)


def reference(images, hardness=1.0, order=(0, 1, 2)):
    """The logits of images `(samples, 3, height, width)`, by the definition."""
    return images.astype(np.float32).mean((2, 3))[:, list(order)] / np.float32(hardness)


def write_export(folder, network="tiny", *, refused=(), recommended=True, teachers=(), **options):
    """A folder as `kdlab.export` leaves one: `<network>.onnx`, `<network>-int8.onnx`, and `result.json`."""
    folder.mkdir(parents=True)
    names = [f"{network}.onnx", f"{network}-int8.onnx"]
    for name in names:
        write_network(folder / name, **options)
    artifacts = [
        {"artifact": name, "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()}} for name in names
    ]
    pair = {"engine": "onnxruntime", "test/accuracy": 91.0, "agreement_with_teacher": 90.0}
    reasons = {name: ["it predicts as the student does on 12.00 % of the test samples"] for name in refused}
    latency = [
        {"name": name, "engine": "onnxruntime", "batch": 1, "threads": 1, "p50": 0.001 * at}
        for at, name in enumerate(names, 1)
    ]
    content = {
        "task": None,
        "student": {"network": network, "stage": f"stage of {network}"},
        "teachers": [{"stage": f"stage of {name}"} for name in teachers],
        "artifacts": artifacts,
        "pairs": [{"artifact": name, **pair, "refused_for": reasons.get(name, [])} for name in names],
        "refused": reasons,
        "latency": latency,
        "deciding": {"batch": 1, "threads": 1},
        "recommended": {"artifact": names[0], "engine": "onnxruntime"} if recommended else None,
    }
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def service_of(folder, *, teacher=None, threshold=None, loaded=True, **settings):
    """A service of an export, without a socket.

    Args:
        folder: of the export.
        teacher: the folder of the teacher's.
        threshold: of the cascade.
        loaded: whether it is warmed up.
        settings: of the server.
    """
    more = {"teacher": str(teacher)} if teacher else {}
    if teacher and threshold is not None:
        more["cascade"] = {"threshold": threshold}
    chosen = ServeSettings(**{"max_batch": 4, **more, **settings})
    artifact = find_artifact(str(folder), chosen.artifact, chosen.engine, "serve.artifact")
    other = find_artifact(str(teacher), None, None, "serve.teacher") if teacher else None
    service = Service(chosen, artifact, other, threshold)
    if loaded:
        service.load(lambda phase, text: None)
    return service


def client_of(service, **options):
    """A client of the app, in this event loop."""

    async def load():
        """It is loaded, or not, already."""

    transport = httpx.ASGITransport(make_app(service, load), **options)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@contextlib.contextmanager
def running(service):
    """The address of a real server with a service, in a thread of this process."""
    listener = listening_socket("127.0.0.1", 0)

    async def load():
        """It is loaded already."""

    config = uvicorn.Config(
        make_app(service, load), http=guarded_protocol(service.settings.read_timeout_s), ws="none", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()


def picture(colour=(200, 10, 10), size=(SIDE, SIDE), kind="PNG"):
    """An image file of one colour."""
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, kind)
    return content.getvalue()


def tensor(images, **more):
    """A request of the protocol."""
    return {
        "inputs": [{"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.tolist()}],
        **more,
    }


def images(count, seed=0):
    """Raw images `(count, 3, 4, 4)`."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def exported(path: Path) -> Path:
    """An export with a student and no teacher."""
    return write_export(path / "export-student")

"""Requests and responses of the Open Inference Protocol (v2), with its binary tensor data extension.

Specification: https://github.com/kserve/open-inference-protocol, `inference_rest.md`; the extension is that of Triton.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from kdlab.serving.model import Rows, Signature
from kdlab.serving.refusals import bad_request

HEADER_LENGTH = "inference-header-content-length"  # of the JSON that stands before binary tensors
Json = Mapping[str, Any]


@dataclass(frozen=True)
class InferRequest:
    """A request that fits the model.

    Attributes:
        rows: `(samples, …)`, of the model's type.
        id: as the client gave it; None without one.
        binary: whether the client wants logits as bytes.
    """

    rows: Rows
    id: str | None
    binary: bool


def read_request(body: bytes, header_length: str | None, signature: Signature, max_batch: int) -> InferRequest:
    """Reads the body of a request.

    Args:
        body: JSON, and binary tensors after it.
        header_length: bytes of the JSON, as the header of the request says; None where there is nothing else.
        signature: of the model.
        max_batch: samples at most.

    Raises:
        Refused: it is no request of the protocol, or does not fit the model.
    """
    length = _header_length(header_length, len(body))
    request = _json(body[:length])
    inputs = _list_of_objects(request, "inputs")
    if [one.get("name") for one in inputs] != [signature.name]:
        given = ", ".join(str(one.get("name"))[:50] for one in inputs[:5]) or "none"
        raise bad_request(f"inputs must be one tensor named {signature.name}, got {given}")
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise bad_request(f"id must be a string, got {type(identity).__name__}")
    rows = _rows(inputs[0], body[length:], signature, max_batch)
    return InferRequest(rows, identity, _wants_binary(request, signature))


def _header_length(given: str | None, size: int) -> int:
    if given is None:
        return size
    if not (given.isascii() and given.isdigit()) or int(given) > size:
        raise bad_request(f"{HEADER_LENGTH} must be a whole number, at most the body's {size} bytes, got {given[:20]}")
    return int(given)


def _json(text: bytes) -> Json:
    try:
        request = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body is no JSON: {str(error).splitlines()[0][:100]}") from error
    if not isinstance(request, dict):
        raise bad_request(f"the body must be a JSON object, got {type(request).__name__}")
    return request


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _list_of_objects(request: Json, name: str) -> Sequence[Json]:
    listed = request.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise bad_request(f"{name} must be a list of objects")
    return listed


def _parameters(of: Json) -> Json:
    parameters = of.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad_request("parameters must be an object")
    return parameters


def _rows(tensor: Json, binary: bytes, signature: Signature, max_batch: int) -> Rows:
    """The tensor of an input, checked in the order in which a client would look: type, shape, values."""
    if tensor.get("datatype") != signature.datatype:
        given = str(tensor.get("datatype"))[:20]
        raise bad_request(f"datatype of {signature.name} must be {signature.datatype}, got {given}")
    shape = _shape(tensor, signature, max_batch)
    size = _parameters(tensor).get("binary_data_size")
    rows = _from_json(tensor, signature, shape) if size is None else _from_bytes(size, binary, signature, shape)
    if signature.dtype.kind == "f" and not np.isfinite(rows).all():
        raise bad_request(f"data of {signature.name} must be finite")
    return rows


def _shape(tensor: Json, signature: Signature, max_batch: int) -> list[int]:
    shape, expected = tensor.get("shape"), list(signature.shape)
    if (
        not isinstance(shape, list)
        or any(type(size) is not int for size in shape)
        or shape[1:] != expected
        or not shape
    ):
        raise bad_request(f"shape of {signature.name} must be [batch, {str(expected)[1:-1]}], got {str(shape)[:80]}")
    if not 1 <= shape[0] <= max_batch:
        raise bad_request(f"the batch must be from 1 to {max_batch} samples, got {shape[0]}")
    return list(shape)


def _from_json(tensor: Json, signature: Signature, shape: Sequence[int]) -> Rows:
    try:
        values = np.asarray(tensor["data"])
    except (KeyError, ValueError, RecursionError) as error:
        raise bad_request(f"data of {signature.name} must be a list of numbers, flat or nested as its shape") from error
    if values.dtype.kind not in "iuf" or values.size != math.prod(shape):
        raise bad_request(
            f"data of {signature.name} must be {math.prod(shape)} numbers for the shape {list(shape)}, got "
            f"{values.size} of type {values.dtype}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        rows = values.astype(signature.dtype)
        if signature.dtype.kind in "iu" and not (rows == values).all():
            limits = np.iinfo(signature.dtype)
            raise bad_request(f"data of {signature.name} must be whole numbers from {limits.min} to {limits.max}")
    return rows.reshape(shape)


def _from_bytes(size: Any, binary: bytes, signature: Signature, shape: Sequence[int]) -> Rows:
    expected = math.prod(shape) * signature.dtype.itemsize
    if size != expected or len(binary) != expected:
        raise bad_request(
            f"binary_data_size of {signature.name} must be {expected} for the shape {list(shape)}, and so many bytes "
            f"must follow the JSON; got {str(size)[:20]} and {len(binary)}"
        )
    return np.frombuffer(binary, signature.dtype.newbyteorder("<")).astype(signature.dtype).reshape(shape)


def _wants_binary(request: Json, signature: Signature) -> bool:
    by_default, outputs = _parameters(request).get("binary_data_output") is True, _list_of_objects(request, "outputs")
    for output in outputs:
        if output.get("name") != signature.output:
            raise bad_request(f"the only output is {signature.output}, got {str(output.get('name'))[:50]}")
        unknown = set(_parameters(output)) & {"classification"}
        if unknown:
            raise bad_request("the classification extension is not supported: /predict answers with labels")
        by_default = _parameters(output).get("binary_data", by_default) is True
    return by_default


def write_response(logits: Rows, request: InferRequest, about: Json, output: str) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers.

    Args:
        logits: `(samples, classes)`, float32.
        request: that is answered.
        about: `model_name`, `model_version`, and `parameters` where there are any.
        output: the name of the logits.
    """
    tensor: dict[str, Any] = {"name": output, "datatype": "FP32", "shape": list(logits.shape)}
    content = {**about, **({} if request.id is None else {"id": request.id}), "outputs": [tensor]}
    if not request.binary:
        tensor["data"] = logits.ravel().tolist()
        return json.dumps(content).encode(), {"Content-Type": "application/json"}
    data = np.ascontiguousarray(logits, "<f4").tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    header = json.dumps(content).encode()
    kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    return header + data, kind

"""Requests and responses of the Open Inference Protocol, beside its text, and what is no request."""

import json

import numpy as np
import pytest

from kdlab.serving.model import Signature
from kdlab.serving.refusals import Refused
from kdlab.serving.tensors import read_request, write_response

UINT8 = Signature("images", "UINT8", (2, 3), "logits", ("a", "b"))
FP32 = Signature("images", "FP32", (2, 3), "logits", ("a", "b"))
VALUES = np.arange(12).reshape(2, 2, 3)


def request(signature=UINT8, data=None, **changes):
    data = VALUES.tolist() if data is None else data
    one = {"name": "images", "shape": [2, 2, 3], "datatype": signature.datatype, "data": data, **changes}
    return {"inputs": [one]}


def read(content, signature=UINT8, binary=b"", most=4):
    head = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_request(head + binary, str(len(head)) if binary else None, signature, most)


@pytest.mark.parametrize("data", [VALUES.tolist(), VALUES.ravel().tolist(), VALUES.reshape(4, 3).tolist()])
@pytest.mark.parametrize("signature", [UINT8, FP32])
def test_data_are_row_major_nested_or_flat(data, signature):
    found = read(request(signature, data), signature)
    np.testing.assert_array_equal(found.rows, VALUES.astype(signature.dtype), strict=True)
    assert (found.id, found.binary) == (None, False)


@pytest.mark.parametrize("signature", [UINT8, FP32])
def test_binary_data_stand_after_the_json(signature):
    raw = VALUES.astype(signature.dtype).tobytes()
    content = request(signature, parameters={"binary_data_size": len(raw)})
    del content["inputs"][0]["data"]
    found = read({**content, "id": "7"}, signature, raw)
    np.testing.assert_array_equal(found.rows, VALUES.astype(signature.dtype), strict=True)
    assert found.id == "7"


NOT_BINARY = {"outputs": [{"name": "logits", "parameters": {"binary_data": False}}]}


@pytest.mark.parametrize(
    ("more", "binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "logits"}]}, False),
        ({"outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "logits"}], "parameters": {"binary_data_output": True}}, True),
        ({**NOT_BINARY, "parameters": {"binary_data_output": True}}, False),
    ],
)
def test_the_client_says_how_it_wants_the_output(more, binary):
    assert read({**request(), **more}).binary == binary


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"the body is no JSON"),
        (b"\xff\xfe", r"the body is no JSON"),
        (DEEP, r"the body is no JSON"),
        (b'{"inputs": [{"name": "images", "data": [NaN]}]}', r"NaN is no number of JSON"),
        ([], r"the body must be a JSON object, got list"),
        ({}, r"inputs must be one tensor named images, got none"),
        ({"inputs": {}}, r"inputs must be a list of objects"),
        ({"inputs": [1]}, r"inputs must be a list of objects"),
        ({"inputs": [{"name": "x"}]}, r"inputs must be one tensor named images, got x"),
        ({"inputs": request()["inputs"] * 2}, r"inputs must be one tensor named images, got images, images"),
        ({**request(), "id": 7}, r"id must be a string, got int"),
        ({**request(), "parameters": []}, r"parameters must be an object"),
        (request(datatype="FP32"), r"datatype of images must be UINT8, got FP32"),
        (request(shape=[2, 3, 2]), r"shape of images must be \[batch, 2, 3\], got \[2, 3, 2\]"),
        (request(shape=[2.0, 2, 3]), r"shape of images must be \[batch, 2, 3\]"),
        (request(shape=[True, 2, 3]), r"shape of images must be \[batch, 2, 3\]"),
        (request(shape=[]), r"shape of images must be \[batch, 2, 3\]"),
        (request(shape=None), r"shape of images must be \[batch, 2, 3\]"),
        (request(shape=[0, 2, 3], data=[]), r"the batch must be from 1 to 4 samples, got 0"),
        (request(shape=[-1, 2, 3]), r"the batch must be from 1 to 4 samples, got -1"),
        (request(shape=[10**30, 2, 3]), r"the batch must be from 1 to 4 samples"),
        (request(data=[1, 2]), r"must be 12 numbers for the shape \[2, 2, 3\], got 2 of type int64"),
        (request(data=[[1, 2], [3]]), r"must be a list of numbers, flat or nested"),
        (request(data=["a"] * 12), r"must be 12 numbers .* of type <U1"),
        (request(data=[True] * 12), r"must be 12 numbers .* of type bool"),
        (request(data=[None] * 12), r"must be 12 numbers .* of type object"),
        (request(data=[10**30] * 12), r"must be 12 numbers .* of type object"),
        (request(data={}), r"must be 12 numbers"),
        (request(data=[256] * 12), r"must be whole numbers from 0 to 255"),
        (request(data=[-1] * 12), r"must be whole numbers from 0 to 255"),
        (request(data=[0.5] * 12), r"must be whole numbers from 0 to 255"),
        (request(parameters={"binary_data_size": 12}), r"so many bytes must follow the JSON; got 12 and 0"),
        ({**request(), "outputs": [{"name": "x"}]}, r"the only output is logits, got x"),
        (
            {**request(), "outputs": [{"name": "logits", "parameters": {"classification": 2}}]},
            r"classification extension is not supported: /predict",
        ),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(content, message):
    with pytest.raises(Refused, match=message) as refused:
        read(content)
    assert refused.value.status == 400
    assert "\n" not in refused.value.message and len(refused.value.message) < 300


def test_without_data_or_with_infinite_ones_it_is_refused():
    content = request(FP32)
    del content["inputs"][0]["data"]
    with pytest.raises(Refused, match="must be a list of numbers"):
        read(content, FP32)
    with pytest.raises(Refused, match="data of images must be finite"):
        read(request(FP32, [1e300] * 12), FP32)
    raw = np.full(12, np.nan, np.float32).tobytes()
    with pytest.raises(Refused, match="data of images must be finite"):
        read(request(FP32, parameters={"binary_data_size": len(raw)}), FP32, raw)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "²", "1e3"])
def test_a_header_length_that_is_none_is_refused(length):
    with pytest.raises(Refused, match="inference-header-content-length must be a whole number, at most the body's"):
        read_request(b"{}", length, UINT8, 4)


def test_a_response_is_json_or_json_and_bytes():
    logits = np.array([[0.5, -1.25], [3, 4]], np.float32)
    about = {"model_name": "m", "model_version": "1"}
    asked = read({**request(), "id": "7"})
    body, headers = write_response(logits, asked, about, "logits")
    tensor = {"name": "logits", "datatype": "FP32", "shape": [2, 2]}
    assert json.loads(body) == {**about, "id": "7", "outputs": [{**tensor, "data": [0.5, -1.25, 3.0, 4.0]}]}
    assert headers == {"Content-Type": "application/json"}
    wanted = read({**request(), "parameters": {"binary_data_output": True}})
    body, headers = write_response(logits, wanted, about, "logits")
    at = int(headers["Inference-Header-Content-Length"])
    assert json.loads(body[:at]) == {**about, "outputs": [{**tensor, "parameters": {"binary_data_size": 16}}]}
    np.testing.assert_array_equal(np.frombuffer(body[at:], "<f4").reshape(2, 2), logits)

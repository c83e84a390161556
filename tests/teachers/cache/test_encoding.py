import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kdlab.errors import BadInput, TrainingFailed
from kdlab.models.taps import Outputs
from kdlab.teachers.cache.encoding import Encoding

SHAPES = [(10,), (7, 300)]


def random(shape, samples=5, spread=3.0):
    return spread * torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0))


def round_trip(encoding, outputs):
    """The outputs after encoding, a copy of the bytes as on disk, and decoding."""
    rows = encoding.encode(outputs)
    assert (rows.dtype, rows.shape) == (np.uint8, (len(outputs.logits), encoding.row_bytes))
    return encoding.decode(np.frombuffer(rows.tobytes(), np.uint8).reshape(rows.shape))


def half_extremes():
    """All float16 values, the midpoints between them, and the float32 values next to these."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    middles = (np.sort(halves)[1:] + np.sort(halves)[:-1]) / 2
    beside = [np.nextafter(middles, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([halves, middles, *beside]).astype(np.float32)


def smoothed(logits, k):
    """Probabilities by the definition: the k largest as they are, what is left shared evenly."""
    probabilities = np.exp(log_softmax(logits.numpy().astype(np.float64), axis=-1))
    order = np.argsort(-probabilities, axis=-1)
    rest = np.take_along_axis(probabilities, order[..., k:], -1)
    np.put_along_axis(probabilities, order[..., k:], rest.mean(axis=-1, keepdims=True), -1)
    return torch.from_numpy(probabilities)


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_restored_bit_for_bit(shape):
    logits = random(shape)
    logits.view(-1)[:5] = torch.tensor([0.0, -0.0, 1e-45, -1e-40, 3.4e38])
    back = round_trip(Encoding(shape), Outputs(logits)).logits
    assert back.shape == logits.shape
    assert torch.equal(back.view(torch.int32), logits.view(torch.int32))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_outputs_in_half_precision_are_restored_exactly(dtype):
    given = {"float32": torch.bfloat16, "float16": torch.float16}[dtype]
    logits = random((10,)).to(given)
    assert torch.equal(round_trip(Encoding((10,), dtype=dtype), Outputs(logits)).logits, logits.float())


def test_float16_is_within_its_bound():
    values = half_extremes()
    back = (
        round_trip(Encoding((len(values),), dtype="float16"), Outputs(torch.from_numpy(values)[None])).logits[0].numpy()
    )
    error, size = np.abs(back.astype(np.float64) - values), np.abs(values.astype(np.float64))
    assert (error <= np.maximum(size * 2**-11, 2**-25)).all()
    assert (error == size * 2**-11).any() and (error == 2**-25).any()  # the bounds are tight


def test_float16_clamps_to_its_largest_value():
    logits = torch.tensor([[65504.0, 65505.0, 65520.0, 1e30, -65504.0, -65520.0, -1e30]])
    back = round_trip(Encoding((7,), dtype="float16"), Outputs(logits)).logits
    assert back.tolist() == [[65504.0] * 4 + [-65504.0] * 3]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 4, 9])
def test_top_k_keeps_the_largest_and_shares_the_rest_evenly(shape, k):
    logits = random(shape)
    back = round_trip(Encoding(shape, top_k=k), Outputs(logits)).logits
    torch.testing.assert_close(back.double().softmax(-1), smoothed(logits, k), rtol=1e-5, atol=1e-12)
    values, classes = logits.topk(k)
    assert torch.equal(back.gather(-1, classes), values)


def test_top_k_of_all_but_one_is_the_whole_output():
    logits = random((10,))
    torch.testing.assert_close(round_trip(Encoding((10,), top_k=9), Outputs(logits)).logits, logits)


def test_top_k_holds_for_extreme_logits():
    logits = torch.tensor([[300.0, -300.0, -300.0, 200.0], [1e4, 1e4, 1e4, 1e4]])
    back = round_trip(Encoding((4,), top_k=1), Outputs(logits)).logits
    shared = 200 - math.log(3)
    torch.testing.assert_close(back[0], torch.tensor([300.0, shared, shared, shared]))
    torch.testing.assert_close(back[1], logits[1])


@pytest.mark.parametrize(("classes", "number_bytes"), [(2**16, 2), (2**16 + 1, 4)])
def test_the_indices_of_the_last_classes_are_restored(classes, number_bytes):
    logits = torch.zeros(2, classes)
    logits[0, -1], logits[1, 0] = 20.0, 20.0
    encoding = Encoding((classes,), top_k=1)
    assert encoding.row_bytes == 4 + number_bytes + 4
    assert round_trip(encoding, Outputs(logits)).logits.argmax(-1).tolist() == [classes - 1, 0]


@pytest.mark.parametrize(
    ("settings", "row_bytes"),
    [
        ({}, 4 * (10 + 6 + 12)),
        ({"dtype": "float16"}, 2 * (10 + 6 + 12)),
        ({"top_k": 3}, 3 * (4 + 2) + 4 + 4 * (6 + 12)),
        ({"dtype": "float16", "top_k": 3}, 3 * (2 + 2) + 2 + 2 * (6 + 12)),
    ],
)
def test_features_are_stored_in_full(settings, row_bytes):
    features = {"last": random((6,)), "mid": random((3, 2, 2)), "unused": random((1,))}
    encoding = Encoding((10,), (("mid", (3, 2, 2)), ("last", (6,))), **settings)
    assert encoding.row_bytes == row_bytes
    back = round_trip(encoding, Outputs(random((10,)), features)).features
    assert list(back) == ["mid", "last"]
    for role, given in back.items():
        exact = features[role].half().float() if "dtype" in settings else features[role]
        assert torch.equal(given, exact)


@pytest.mark.parametrize("settings", [{}, {"dtype": "float16"}, {"top_k": 9}])
def test_outputs_may_have_any_memory_layout(settings):
    logits = random((10,)).T.contiguous().T
    encoding = Encoding((10,), **settings)
    assert np.array_equal(encoding.encode(Outputs(logits)), encoding.encode(Outputs(logits.contiguous())))


def test_decoded_outputs_do_not_share_memory_with_rows():
    encoding = Encoding((10,))
    rows = encoding.encode(Outputs(random((10,))))
    encoding.decode(rows).logits.zero_()
    assert torch.equal(encoding.decode(rows).logits, random((10,)))


@pytest.mark.parametrize("settings", [{}, {"dtype": "float16"}, {"top_k": 3}])
def test_no_outputs_give_no_rows(settings):
    encoding = Encoding((4, 10), (("last", (6,)),), **settings)
    back = round_trip(encoding, Outputs(torch.zeros(0, 4, 10), {"last": torch.zeros(0, 6)}))
    assert (back.logits.shape, back.features["last"].shape) == ((0, 4, 10), (0, 6))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["logits", "last"])
def test_an_output_that_is_not_finite_is_refused_by_name(name, value):
    outputs = Outputs(random((10,)), {"last": random((6,))})
    (outputs.logits if name == "logits" else outputs.features[name])[1, 2] = value
    with pytest.raises(
        TrainingFailed, match=rf"A teacher's output is not finite \({name}\).*teacher_precision=float32"
    ):
        Encoding((10,), (("last", (6,)),)).encode(outputs)


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"logits of a sample must have the shape \(10,\), got \(9,\)"):
        Encoding((10,)).encode(Outputs(random((9,))))


def test_an_unknown_dtype_is_named_with_its_setting():
    with pytest.raises(BadInput, match=r"cache\.dtype must be float32 or float16, got 'bfloat16'"):
        Encoding((10,), dtype="bfloat16")


@pytest.mark.parametrize("top_k", [0, -1, 10, 2.0, True, "3"])
def test_a_top_k_out_of_range_is_named_with_its_setting(top_k):
    with pytest.raises(BadInput) as raised:
        Encoding((10,), top_k=top_k)
    assert str(raised.value) == (
        "cache.top_k must be a whole number from 1 to 9, fewer than the 10 classes, or null to keep all of them; "
        f"got {top_k!r}"
    )

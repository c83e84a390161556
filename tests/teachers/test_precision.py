"""The precision of frozen teachers: chosen by device, and bit-identical with weights cast once."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.teachers.precision import check_teacher_device, keep_in, teacher_precision


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_device_supports_it(native, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert {teacher_precision("auto", device) for device in ("cpu", "cuda")} == {precision}
    assert teacher_precision("auto", "mps") == "float32"


def test_a_requested_precision_is_used_on_every_device():
    for device in ("cpu", "cuda", "mps"):
        assert [teacher_precision(name, device) for name in ("float32", "float16")] == ["float32", "float16"]


def test_an_unknown_precision_is_refused():
    text = (
        r"^hardware\.teacher_precision must be one of auto, float32, bfloat16, float16; got 16\. "
        r"For example hardware\.teacher_precision=float32\.$"
    )
    with pytest.raises(BadInput, match=text):
        teacher_precision(16, "cpu")


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cast_weights_are_bit_identical_to_autocast(dtype):
    torch.manual_seed(0)
    network, images = cifar.resnet8(10).eval(), torch.rand(2, 3, 32, 32)
    kept = deepcopy(network)
    keep_in(kept, dtype)
    assert {kept.conv1.weight.dtype, kept.fc.weight.dtype, kept.fc.bias.dtype} == {dtype}
    assert {tensor.dtype for tensor in kept.bn1.state_dict().values()} == {torch.float32, torch.int64}
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(kept(images), network(images))


def test_an_embedding_with_shared_weights_keeps_its_precision():
    words = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    words[1].weight = words[0].weight
    keep_in(words, torch.bfloat16)
    assert [part.weight.dtype for part in words] == [torch.float32, torch.bfloat16]


def test_a_device_that_is_not_there_is_refused():
    check_teacher_device(None)
    check_teacher_device("cpu")
    with pytest.raises(
        BadInput, match=r"^hardware\.teacher_device must be one of cpu(, cuda:\d)*, or null for the stud"
    ):
        check_teacher_device("cuda:77")

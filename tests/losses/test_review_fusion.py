import numpy as np
import pytest
import torch

from kdlab.errors import BadInput
from kdlab.losses import Review, hierarchical_context
from tests.losses.layers import array, batch_normalised, convolved, slope

torch.manual_seed(0)
STUDENT = tuple(torch.randn(2, *shape) for shape in [(2, 8, 8), (3, 4, 4), (4, 4, 4)])
TEACHER = tuple(torch.randn(2, *shape) for shape in [(3, 16, 16), (4, 4, 4), (5, 2, 2)])


def make_loss(student=STUDENT, teacher=TEACHER):
    torch.manual_seed(1)
    return Review([maps.shape[1:] for maps in student], [maps.shape[1:] for maps in teacher])


def resized(maps, size):
    """Each position takes the value at the same relative position, rounded down."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, maps.shape[2:], strict=True))
    return maps[:, :, rows][..., columns]


def fused(own, above, layer):
    """Position by position: the attention weights depend on both maps at that position."""
    above = resized(above, own.shape[2:])
    logits = convolved(np.concatenate([own, above], axis=1), layer)
    weights = 1 / (1 + np.exp(-logits))
    return own * weights[:, [0]] + above * weights[:, [1]]


def reviewed(loss, student, teacher):
    """The student's maps as they are compared with the teacher's, high to low."""
    residual = None
    for fusion, own, other in list(zip(loss.fusions, student, teacher, strict=True))[::-1]:
        reduced = batch_normalised(convolved(own, fusion.reduce[0]), fusion.reduce[1])
        residual = reduced if residual is None else fused(reduced, residual, fusion.attend)
        residual = resized(residual, other.shape[2:])
        yield batch_normalised(convolved(residual, fusion.widen[0]), fusion.widen[1]), other


def reference(loss, student, teacher):
    pairs = reviewed(loss, student, teacher)
    return sum(hierarchical_context(*map(torch.from_numpy, pair)).item() for pair in pairs)


def arrays(maps):
    return [array(level) for level in maps]


def test_compares_each_level_with_its_fusion_of_the_same_and_higher_levels():
    loss = make_loss()
    assert loss(STUDENT, TEACHER).item() == pytest.approx(reference(loss, arrays(STUDENT), arrays(TEACHER)), rel=1e-4)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_sends_the_known_gradient_to_every_level_of_the_student_and_none_to_the_teacher(level):
    loss, direction = make_loss(), torch.randn_like(STUDENT[level])
    student = [maps.clone().requires_grad_() for maps in STUDENT]
    teacher = [maps.clone().requires_grad_() for maps in TEACHER]
    loss(student, teacher).backward()

    def value(maps):
        others = arrays(STUDENT)
        return reference(loss, [*others[:level], maps, *others[level + 1 :]], arrays(TEACHER))

    expected = slope(value, array(STUDENT[level]), array(direction), step=1e-2)  # the values are float32
    assert (student[level].grad * direction).sum().item() == pytest.approx(expected, rel=1e-2)
    assert all(maps.grad is None for maps in teacher)


def test_trains_all_its_layers():
    loss = make_loss()
    loss(STUDENT, TEACHER).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


def test_reviews_one_level_without_attention():
    loss = make_loss(STUDENT[:1], TEACHER[:1])
    assert loss.fusions[0].attend is None
    assert loss(STUDENT[:1], TEACHER[:1]).item() == pytest.approx(
        reference(loss, arrays(STUDENT[:1]), arrays(TEACHER[:1])), rel=1e-4
    )


def test_fuses_at_most_512_channels():
    loss = Review([torch.Size([8, 2, 2]), torch.Size([600, 1, 1])], [torch.Size([8, 2, 2]), torch.Size([8, 1, 1])])
    assert [fusion.reduce[0].out_channels for fusion in loss.fusions] == [512, 512]


def test_takes_one_sample():
    student, teacher = ([maps[:1] for maps in side] for side in (STUDENT, TEACHER))
    loss = make_loss()
    assert loss(student, teacher).item() == pytest.approx(reference(loss, arrays(student), arrays(teacher)), rel=1e-4)


def test_is_zero_for_one_sample_with_one_position_which_cannot_be_normalised():
    student, teacher = [*STUDENT[:2], STUDENT[2][..., :1, :1]], [*TEACHER[:2], TEACHER[2][..., :1, :1]]
    loss = make_loss(student, teacher)
    assert loss(student, teacher) > 0
    one = [maps[:1].clone().requires_grad_() for maps in student]
    value = loss(one, [maps[:1] for maps in teacher])
    value.backward()
    assert value == 0
    assert all((maps.grad == 0).all() for maps in one)


def test_computes_half_precision_in_float32():
    loss = make_loss()
    student, teacher = ([maps.half() for maps in side] for side in (STUDENT, TEACHER))
    value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert value == loss([maps.float() for maps in student], [maps.float() for maps in teacher])


def test_continues_from_its_saved_state():
    loss = make_loss()
    loss(STUDENT, TEACHER)
    other = Review([maps.shape[1:] for maps in STUDENT], [maps.shape[1:] for maps in TEACHER])
    other.load_state_dict(loss.state_dict())
    assert other(STUDENT, TEACHER) == loss(STUDENT, TEACHER)


def test_needs_the_whole_batch():
    assert Review.compares_samples


def test_errors_name_the_rule():
    with pytest.raises(BadInput, match=r"several levels.* got one map of shape \(2, 8, 8\).*taps: \[\[low, mid, high"):
        Review(STUDENT[0].shape[1:], TEACHER[0].shape[1:])
    with pytest.raises(BadInput, match=r"Review compares .* maps, got student \(16,\) and teacher \(3, 16, 16\)"):
        Review([torch.Size([16])], [TEACHER[0].shape[1:]])

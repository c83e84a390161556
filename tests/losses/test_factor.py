import numpy as np
import pytest
import torch

from kdlab.errors import BadInput
from kdlab.losses import FactorTransfer, factor_transfer
from tests.losses.golden import EXPECTED, golden_input
from tests.losses.layers import array, averaged, batch_normalised, convolved, slope

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(2, 3, 4, 4), torch.randn(2, 4, 8, 8)


def make_loss(**arguments):
    torch.manual_seed(1)
    return FactorTransfer(STUDENT.shape[1:], TEACHER.shape[1:], **arguments)


def transfer(student, teacher):
    size = np.minimum(student.shape[2:], teacher.shape[2:])
    energies = [(averaged(maps, size) ** 2).mean(axis=1).reshape(len(maps), -1) for maps in (student, teacher)]
    own, other = (energy / np.linalg.norm(energy, axis=1, keepdims=True) for energy in energies)
    return np.abs(own - other).mean()


def through_layers(maps, layers, transposed=False):
    """Through convolution, BatchNorm and leaky ReLU, three times."""
    assert len(layers) == 9
    for convolution, norm in zip(layers[::3], layers[1::3], strict=True):
        maps = batch_normalised(convolved(maps, convolution, transposed), norm)
        maps = np.where(maps > 0, maps, 0.1 * maps)
    return maps


def reference(loss, student, teacher, weight=0.005):
    factors = through_layers(teacher, loss.paraphrase)
    error = ((through_layers(factors, loss.reconstruct, transposed=True) - teacher) ** 2).mean()
    return transfer(through_layers(student, loss.translate), factors) + weight * error


@pytest.mark.parametrize(("own", "other"), [(4, 8), (8, 4), (4, 4)])
def test_compares_factors_at_the_smaller_size(own, other):
    student, teacher = torch.randn(2, 3, own, own), torch.randn(2, 4, other, other)
    expected = transfer(array(student), array(teacher))
    assert factor_transfer(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_matches_repdistiller():
    value = factor_transfer(golden_input("student_map"), golden_input("teacher_map"))
    assert value.item() == pytest.approx(EXPECTED["factor_transfer"], rel=1e-5)


def test_sends_the_known_gradient_to_the_students_factors_and_none_to_the_teachers():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    factor_transfer(student, teacher).backward()
    direction = torch.randn_like(STUDENT)
    expected = slope(lambda maps: transfer(maps, array(TEACHER)), array(STUDENT), array(direction))
    assert (student.grad * direction).sum().item() == pytest.approx(expected, rel=1e-4)
    assert teacher.grad is None


def test_is_zero_for_factors_in_proportion_and_finite_for_zeros():
    assert factor_transfer(STUDENT, 3 * STUDENT).item() == pytest.approx(0, abs=1e-7)
    zeros = torch.zeros_like(STUDENT).requires_grad_()
    factor_transfer(zeros, TEACHER).backward()
    assert zeros.grad.isfinite().all()


@pytest.mark.parametrize("weight", [0.005, 2.0])
def test_is_the_transfer_of_translator_and_paraphraser_plus_the_reconstruction(weight):
    loss = make_loss(reconstruction_weight=weight)
    expected = reference(loss, array(STUDENT), array(TEACHER), weight)
    assert loss(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("rate", "channels"), [(0.5, 2), (0.75, 3), (0.1, 1), (2, 8)])
def test_has_factors_at_the_rate(rate, channels):
    assert make_loss(rate=rate).paraphrase(TEACHER).shape == (2, channels, 8, 8)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    loss, direction = make_loss(), torch.randn_like(STUDENT)
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    loss(student, teacher).backward()
    expected = slope(lambda maps: reference(loss, maps, array(TEACHER)), array(STUDENT), array(direction))
    assert (student.grad * direction).sum().item() == pytest.approx(expected, rel=1e-3)
    assert teacher.grad is None


def test_only_the_reconstruction_trains_the_paraphraser_and_only_the_transfer_the_translator():
    once, twice = make_loss(reconstruction_weight=0.01), make_loss(reconstruction_weight=0.02)
    for loss in (once, twice):
        loss(STUDENT, TEACHER).backward()
    for (name, one), two in zip(once.named_parameters(), twice.parameters(), strict=True):
        factor = 1 if name.startswith("translate") else 2
        torch.testing.assert_close(two.grad, factor * one.grad)
        assert one.grad.abs().sum() > 0


def test_takes_one_sample():
    loss = make_loss()
    expected = reference(loss, array(STUDENT[:1]), array(TEACHER[:1]))
    assert loss(STUDENT[:1], TEACHER[:1]).item() == pytest.approx(expected, rel=1e-4)


def test_computes_half_precision_in_float32():
    for compare in (factor_transfer, make_loss()):
        value = compare(STUDENT.half(), TEACHER.half())
        assert value.dtype == torch.float32
        assert value == compare(STUDENT.half().float(), TEACHER.half().float())


def test_continues_from_its_saved_state():
    loss, other = make_loss(), FactorTransfer(STUDENT.shape[1:], TEACHER.shape[1:])
    loss(STUDENT, TEACHER)
    other.load_state_dict(loss.state_dict())
    assert other(STUDENT, TEACHER) == loss(STUDENT, TEACHER)


def test_needs_the_whole_batch():
    assert FactorTransfer.compares_samples


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"factor_transfer compares \(batch, channels, height, width\) maps"):
        factor_transfer(STUDENT[..., 0], TEACHER)
    with pytest.raises(ValueError, match="factor_transfer needs maps of more than one position"):
        factor_transfer(STUDENT[..., :1, :1], TEACHER)
    with pytest.raises(BadInput, match=r"FactorTransfer compares .* maps, got student \(16,\)"):
        FactorTransfer(torch.Size([16]), TEACHER.shape[1:])
    with pytest.raises(BadInput, match=r"more than one position, got student \(3, 1, 1\) and teacher \(4, 8, 8\)"):
        FactorTransfer(torch.Size([3, 1, 1]), TEACHER.shape[1:])
    with pytest.raises(BadInput, match=r"rate above 0, got 0; rate: 0.5"):
        make_loss(rate=0)
    with pytest.raises(BadInput, match=r"reconstruction_weight above 0 .* got 0; reconstruction_weight: 0.005"):
        make_loss(reconstruction_weight=0)

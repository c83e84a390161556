import numpy as np
import pytest
import torch
from scipy.stats import norm

from kdlab.errors import BadInput
from kdlab.losses import VariationalInformation
from tests.losses.layers import array, averaged, convolved, slope

torch.manual_seed(0)
STUDENT, TEACHER = torch.randn(3, 2, 8, 8), torch.randn(3, 5, 4, 4)


def make_loss(student=STUDENT, teacher=TEACHER, **arguments):
    """With a different variance for each channel, as after some training."""
    torch.manual_seed(1)
    loss = VariationalInformation(student.shape[1:], teacher.shape[1:], **arguments)
    with torch.no_grad():
        loss.raw_variance += torch.randn(teacher.shape[1])
    return loss


def reference(loss, student, teacher, minimum_variance=1e-5):
    size = np.minimum(student.shape[2:], teacher.shape[2:])
    mean, target = averaged(student, size), averaged(teacher, size)
    first, _, second, _, third = loss.predict_mean
    for layer in (first, second):
        mean = np.maximum(convolved(mean, layer), 0)
    variance = np.logaddexp(0, array(loss.raw_variance)) + minimum_variance
    log_density = norm(convolved(mean, third), np.sqrt(variance)[:, None, None]).logpdf(target)
    return -(log_density + 0.5 * np.log(2 * np.pi)).mean()


@pytest.mark.parametrize(("own", "other"), [(8, 4), (4, 8), (4, 4)])
def test_is_the_mean_negative_log_density_at_the_smaller_size(own, other):
    student, teacher = torch.randn(3, 2, own, own), torch.randn(3, 5, other, other)
    loss = make_loss(student, teacher, minimum_variance=0.3)
    assert loss(student, teacher).item() == pytest.approx(
        reference(loss, array(student), array(teacher), minimum_variance=0.3), rel=1e-5
    )


def test_starts_at_the_initial_variance():
    loss = VariationalInformation(STUDENT.shape[1:], TEACHER.shape[1:], initial_variance=2.0, minimum_variance=0.5)
    torch.testing.assert_close(loss.variance, torch.full((5,), 2.0))


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    loss, direction = make_loss(), torch.randn_like(STUDENT)
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    loss(student, teacher).backward()
    expected = slope(lambda maps: reference(loss, maps, array(TEACHER)), array(STUDENT), array(direction))
    assert (student.grad * direction).sum().item() == pytest.approx(expected, rel=1e-4)
    assert teacher.grad is None


def test_the_gradient_of_the_variance_follows_the_squared_error():
    loss = make_loss()
    loss(STUDENT, TEACHER).backward()
    pooled = torch.nn.functional.adaptive_avg_pool2d(STUDENT, 4)
    error = (TEACHER - loss.predict_mean(pooled)).square().mean(dim=(0, 2, 3))
    by_variance = 0.5 * (1 / loss.variance - error / loss.variance**2) / len(error)
    torch.testing.assert_close(loss.raw_variance.grad, by_variance * loss.raw_variance.sigmoid())
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


def test_is_half_the_log_variance_for_zeros():
    loss = make_loss()
    value = loss(torch.zeros_like(STUDENT), torch.zeros_like(TEACHER))
    torch.testing.assert_close(value, 0.5 * loss.variance.log().mean())


def test_takes_one_sample_of_one_position():
    student, teacher = STUDENT[:1, :, :1, :1], TEACHER[:1, :, :1, :1]
    loss = make_loss(student, teacher)
    assert loss(student, teacher).item() == pytest.approx(reference(loss, array(student), array(teacher)), rel=1e-5)


def test_computes_half_precision_in_float32():
    loss = make_loss()
    value = loss(STUDENT.half(), TEACHER.half())
    assert value.dtype == torch.float32
    assert value == loss(STUDENT.half().float(), TEACHER.half().float())


def test_continues_from_its_saved_state():
    loss, other = make_loss(), VariationalInformation(STUDENT.shape[1:], TEACHER.shape[1:])
    other.load_state_dict(loss.state_dict())
    assert other(STUDENT, TEACHER) == loss(STUDENT, TEACHER)


def test_errors_name_the_rule():
    with pytest.raises(BadInput, match=r"maps, got student \(16,\) and teacher \(5, 4, 4\); tap maps"):
        VariationalInformation(torch.Size([16]), TEACHER.shape[1:])
    with pytest.raises(BadInput, match=r"0 < minimum_variance < initial_variance.* got minimum_variance 0 "):
        make_loss(minimum_variance=0)
    with pytest.raises(BadInput, match=r"initial_variance 1e-06; minimum_variance: 1e-5, initial_variance: 5"):
        make_loss(initial_variance=1e-6)
    with pytest.raises(ValueError, match=r"VariationalInformation compares \(batch, channels, height, width\) maps"):
        make_loss()(STUDENT[..., 0], TEACHER)

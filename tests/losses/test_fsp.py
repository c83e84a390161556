import numpy as np
import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.losses import FlowOfSolution, fsp
from tests.losses.golden import EXPECTED, golden_input

torch.manual_seed(0)
STUDENT = (torch.randn(3, 2, 4, 4), torch.randn(3, 5, 4, 4))
TEACHER = (torch.randn(3, 2, 6, 3), torch.randn(3, 5, 6, 3))


def flow(low, high):
    """Inner products over positions, one entry at a time."""
    entries = np.zeros((low.shape[0], low.shape[1], high.shape[1]))
    for sample, first, second in np.ndindex(entries.shape):
        entries[sample, first, second] = (low[sample, first] * high[sample, second]).double().mean()
    return entries


def reference(student, teacher):
    return ((flow(*student) - flow(*teacher)) ** 2).mean()


def doubled(maps):
    """Twice the side, with blocks of which the means are the maps."""
    offsets = torch.tensor([[1.0, -2.0], [3.0, -2.0]]).repeat(maps.shape[-2:])
    return maps.repeat_interleave(2, -2).repeat_interleave(2, -1) + offsets


def shapes(pair):
    return [maps.shape[1:] for maps in pair]


@pytest.mark.parametrize("samples", [1, 3])
def test_matches_the_definition_at_any_size_of_the_teachers_maps(samples):
    student, teacher = ([maps[:samples] for maps in pair] for pair in (STUDENT, TEACHER))
    assert fsp(student, teacher).item() == pytest.approx(reference(student, teacher), rel=1e-5)


def test_matches_repdistiller():
    student, teacher = golden_input("student_map_same"), golden_input("teacher_map")
    value = fsp((student, student.flip(0)), (teacher, golden_input("teacher_maps_2")))
    assert value.item() == pytest.approx(EXPECTED["fsp"], rel=1e-5)


def test_averages_the_larger_map_of_a_pair_down_to_the_other():
    low, high = STUDENT
    expected = reference(STUDENT, TEACHER)
    assert fsp((doubled(low), high), TEACHER).item() == pytest.approx(expected, rel=1e-5)
    assert fsp((low, doubled(high)), TEACHER).item() == pytest.approx(expected, rel=1e-5)


def test_sends_the_known_gradient_to_the_student_and_none_to_the_teacher():
    student = [maps.clone().requires_grad_() for maps in STUDENT]
    teacher = [maps.clone().requires_grad_() for maps in TEACHER]
    fsp(student, teacher).backward()
    error = torch.from_numpy(flow(*STUDENT) - flow(*TEACHER)).float() * 2 / (3 * 2 * 5) / 16
    torch.testing.assert_close(student[0].grad, torch.einsum("blh,bhij->blij", error, STUDENT[1]))
    torch.testing.assert_close(student[1].grad, torch.einsum("blh,blij->bhij", error, STUDENT[0]))
    assert all(maps.grad is None for maps in teacher)


def test_is_zero_for_equal_pairs_and_the_teachers_mean_square_for_zeros():
    assert fsp(TEACHER, TEACHER) == 0
    zeros = tuple(torch.zeros_like(maps) for maps in STUDENT)
    assert fsp(zeros, TEACHER).item() == pytest.approx((flow(*TEACHER) ** 2).mean(), rel=1e-5)


def test_computes_half_precision_in_float32():
    half = [tuple(maps.half() for maps in pair) for pair in (STUDENT, TEACHER)]
    value = fsp(*half)
    assert value.dtype == torch.float32
    assert value == fsp(*(tuple(maps.float() for maps in pair) for pair in half))


def test_errors_name_the_rule():
    with pytest.raises(ValueError, match=r"student \[1, 5\] and teacher \[2, 5\] channels; _target_: .*FlowOfSolution"):
        fsp((STUDENT[0][:, :1], STUDENT[1]), TEACHER)
    with pytest.raises(ValueError, match=r"pairs of maps, got 1 of the student and 2 of the teacher; taps: \[\[low"):
        fsp(STUDENT[0], TEACHER)
    with pytest.raises(ValueError, match="got 3 of the student and 3 of the teacher"):
        fsp((*STUDENT, STUDENT[0]), (*TEACHER, TEACHER[0]))
    with pytest.raises(ValueError, match=r"fsp compares .* maps of one batch, got student \(3, 2\)"):
        fsp((STUDENT[0][..., 0, 0], STUDENT[1]), TEACHER)


def test_the_module_is_the_function_where_widths_are_equal():
    module = FlowOfSolution(shapes(STUDENT), shapes(TEACHER))
    assert not list(module.parameters())
    assert module(STUDENT, TEACHER) == fsp(STUDENT, TEACHER)


def test_the_module_widens_only_maps_of_other_widths_with_a_trained_layer():
    wide = (torch.randn(3, 4, 6, 3), TEACHER[1])
    module = FlowOfSolution(shapes(STUDENT), shapes(wide))
    (weight,) = module.parameters()
    assert weight.shape == (4, 2, 1, 1)
    value = module(STUDENT, wide)
    widened = torch.einsum("oc,bcij->boij", weight.detach()[..., 0, 0], STUDENT[0])
    assert value.item() == pytest.approx(reference((widened, STUDENT[1]), wide), rel=1e-5)
    value.backward()
    assert weight.grad.abs().sum() > 0


def test_the_module_takes_half_precision_and_draws_the_same_layers_from_the_same_seed():
    wide = (torch.randn(3, 4, 6, 3), TEACHER[1])
    modules = []
    for _ in range(2):
        torch.manual_seed(7)
        modules.append(FlowOfSolution(shapes(STUDENT), shapes(wide)))
    assert modules[0](STUDENT, wide) == modules[1](STUDENT, wide)
    assert modules[0](tuple(maps.half() for maps in STUDENT), wide).dtype == torch.float32
    assert isinstance(modules[0].widen[1], nn.Identity)


def test_the_module_refuses_single_taps_and_vectors():
    with pytest.raises(BadInput, match=r"got 1 of the student and 1 of the teacher; taps: \[\[low, mid\]\]"):
        FlowOfSolution(torch.Size([2, 4, 4]), torch.Size([2, 4, 4]))
    with pytest.raises(BadInput, match=r"fsp compares .* maps, got student \(8,\) and teacher \(9,\); tap maps"):
        FlowOfSolution((torch.Size([2, 4, 4]), torch.Size([8])), (torch.Size([2, 4, 4]), torch.Size([9])))

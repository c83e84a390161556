import pytest
import torch
from torch import nn

from kdlab.losses.batchwise import compares_samples
from kdlab.methods.term_settings import TermSettings
from kdlab.methods.terms import BuildContext, LossInputs, Term
from kdlab.models.taps import Outputs

INPUTS = LossInputs(labels=torch.zeros(2, dtype=torch.long), index=torch.arange(2), seed=5, epoch=0)


def distance(student, teacher, power=1.0):
    return ((student - teacher).abs() ** power).sum()


def pair(student, teacher):
    (low, high), (of_low, of_high) = student, teacher
    return (low - of_low).sum() + 10 * (high - of_high).sum()


def seeded(student, seed):
    return student.sum() * 0 + seed


class Scaled(nn.Module):
    """Owns a weight of the student's shape."""

    def __init__(self, student_shape, teacher_shape, num_classes, start=1.0):
        super().__init__()
        self.shapes = (student_shape, teacher_shape, num_classes)
        self.scale = nn.Parameter(torch.full(student_shape, start))

    def forward(self, student, teacher):
        return (self.scale * (student - teacher)).sum()


def outputs(value):
    return Outputs(torch.full((2, 3), value), {"low": torch.full((2, 1), value), "high": torch.full((2, 2), value)})


SHAPES = {"low": torch.Size([1]), "high": torch.Size([2])}


def term(of="distance", teachers=1, **settings):
    made = Term(TermSettings.read(of, {"_target_": f"{__name__}.{of}", **settings}))
    made.build(BuildContext(SHAPES, [SHAPES] * teachers, num_classes=3))
    return made


def value(made, student, teachers):
    return made(student, teachers, INPUTS).item()


def test_reads_logits_without_taps_and_sums_over_taps_with_them():
    student, teachers = outputs(3.0), [(outputs(1.0), 1.0)]
    assert value(term(), student, teachers) == 6 * 2
    assert value(term(taps=["low", "high"]), student, teachers) == 2 * 2 + 4 * 2
    assert value(term(taps=["low"], power=2.0), student, teachers) == 2 * 4


def test_passes_taps_of_a_list_together():
    assert value(term("pair", taps=[["low", "high"]]), outputs(3.0), [(outputs(1.0), 1.0)]) == 2 * 2 + 10 * 4 * 2


def test_averages_teachers_by_their_weights():
    teachers = [(outputs(1.0), 3.0), (outputs(3.0), 1.0)]
    assert value(term(teachers=2), outputs(3.0), teachers) == pytest.approx(0.75 * 12)


def test_the_student_can_be_its_own_teacher_without_a_gradient_to_that_side():
    student = outputs(3.0)
    student.features = {"low": torch.tensor([[3.0], [4.0]]).requires_grad_(), "high": torch.ones(2, 1).requires_grad_()}
    made = term(taps=["low"], teacher_taps=["high"], source="self", teachers=0)
    result = made(student, [], INPUTS)
    result.backward()
    assert result.item() == 2 + 3
    assert student.features["high"].grad is None


@pytest.mark.parametrize("taps", [[], ["low"]])
def test_the_teachers_side_is_detached_also_where_the_teacher_is_trained(taps):
    student, peer = outputs(3.0), outputs(1.0)
    for tensor in (student.logits, peer.logits, student.features["low"], peer.features["low"]):
        tensor.requires_grad_()
    term(taps=taps)(student, [(peer, 1.0)], INPUTS).backward()
    assert (student.features["low"] if taps else student.logits).grad is not None
    assert peer.logits.grad is None and peer.features["low"].grad is None


def test_a_class_is_built_for_each_tap_from_the_parameters_that_it_takes():
    made = term("Scaled", taps=["low", "high"], start=2.0)
    assert [loss.shapes for loss in (c.loss for row in made.comparisons for c in row)] == [
        ((1,), (1,), 3),
        ((2,), (2,), 3),
    ]
    assert value(made, outputs(3.0), [(outputs(1.0), 1.0)]) == 2 * (2 * 2 + 4 * 2)
    assert {name.split(".")[-1] for name, _ in made.named_parameters()} == {"scale"}


def test_every_teacher_has_its_own_instance_of_a_class():
    assert len(list(term("Scaled", teachers=2, taps=["low"]).parameters())) == 2


def test_a_loss_that_draws_numbers_gets_the_seed_of_the_step():
    assert value(term("seeded", teachers=0), outputs(3.0), []) == 5


@pytest.mark.parametrize(("side", "trained"), [("student", True), ("teacher", False)])
def test_an_adapter_maps_one_side_to_the_width_of_the_other(side, trained):
    settings = TermSettings.read("hint", {"taps": ["high"], "adapter": side})
    shapes = {"high": torch.Size([4, 8, 8])}, {"high": torch.Size([6, 4, 4])}
    made = Term(settings)
    made.build(BuildContext(shapes[0], [shapes[1]], num_classes=3))
    student = Outputs(torch.zeros(5, 3), {"high": torch.randn(5, 4, 8, 8)})
    teacher = Outputs(torch.zeros(5, 3), {"high": torch.randn(5, 6, 4, 4)})
    adapter = made.comparisons[0][0].adapters[0]
    own, other = torch.nn.functional.avg_pool2d(student.features["high"], 2), teacher.features["high"]
    expected = ((adapter(own) - other) if side == "student" else (own - adapter(other))).square().mean()
    assert made(student, [(teacher, 1.0)], INPUTS).item() == pytest.approx(expected.item(), rel=1e-6)
    assert all(parameter.requires_grad == trained for parameter in made.parameters())


def test_equal_shapes_get_no_adapter():
    settings = TermSettings.read("hint", {"taps": ["high"], "adapter": "student"})
    made = Term(settings)
    made.build(BuildContext(SHAPES, [SHAPES], num_classes=3))
    assert not list(made.parameters())


def test_features_are_compared_in_float32_also_under_autocast():
    """In bfloat16 the product of a matrix with its own transpose would be rounded to 8 bits."""
    found = {}

    def record(student, teacher):
        found["dtype"] = (student @ teacher.mT).dtype
        return student.sum()

    made = Term(TermSettings("record", record, taps=(("low",),), teacher_taps=(("low",),)))
    made.build(BuildContext(SHAPES, [SHAPES], num_classes=3))
    half = Outputs(torch.zeros(2, 3), {"low": torch.ones(2, 1, dtype=torch.bfloat16)})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made(half, [(half, 1.0)], INPUTS)
    assert found["dtype"] == torch.float32


def test_losses_that_compare_samples_are_marked():
    assert compares_samples(distance).compares_samples
    del distance.compares_samples

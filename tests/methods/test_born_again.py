"""Born-again networks: what one step minimises under each treatment of the teacher's outputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kdlab.errors import BadInput
from kdlab.methods import BornAgain
from kdlab.models.taps import Outputs
from tests.methods.first_step import outputs_of, ready
from tests.small import tiny_plan


def second_generation(*overrides):
    return tiny_plan("loss=born_again", "plan.generations=2", *overrides).student


@pytest.fixture(scope="module")
def stage():
    return second_generation()


def treated(stage, treatment):
    return replace(stage, loss={**stage.loss, "treatment": treatment})


def first_step(stage):
    """The loss of the first step, with the logits and labels that it is computed from."""
    method, batch = ready(stage)
    student, teacher = (outputs.logits.detach().double().numpy() for outputs in outputs_of(method, batch))
    return method.training_step(batch, 0).item(), student, teacher, batch.targets.numpy()


def cross_entropies(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def kl(teacher, student):
    return (softmax(teacher, 1) * (log_softmax(teacher, 1) - log_softmax(student, 1))).sum(1).mean()


def test_a_generation_is_trained_on_labels_and_on_the_generation_before(stage):
    loss, student, teacher, labels = first_step(stage)
    known = labels >= 0
    assert 0 < known.sum() < len(labels)
    expected = 0.3 * cross_entropies(student[known], labels[known]).mean() + 0.7 * 16 * kl(teacher / 4, student / 4)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert [teacher.name for teacher, _ in stage.teachers] == ["generation1"]


def test_the_papers_setting_is_the_divergence_alone():
    loss, student, teacher, _ = first_step(second_generation("loss.alpha=1", "loss.temperature=1"))
    assert loss == pytest.approx(kl(teacher, student), rel=1e-5)


def test_cwtm_weighs_the_labels_by_the_teachers_confidence_over_its_batch_sum(stage):
    loss, student, teacher, labels = first_step(treated(stage, "cwtm"))
    known = labels >= 0
    confidence = softmax(teacher[known], 1).max(1)
    expected = (confidence / confidence.sum() * cross_entropies(student[known], labels[known])).sum()
    assert loss == pytest.approx(expected, rel=1e-5)


def target(method, batch, step=0):
    """The student's target probabilities, from the gradient of KL: (student - target) / batch."""
    (term,) = [term for term in method.terms if term.name == "permuted_kd"]
    student, inputs = method.student_outputs(batch, step)
    logits = student.logits.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(term(Outputs(logits), method.teacher_outputs(batch), inputs), logits)
    own = softmax(logits.detach().double().numpy() / 4, 1)
    return own - len(own) * gradient.double().numpy() / 4  # T² · 1/T of the softened logits


@pytest.fixture(scope="module")
def permuted(stage):
    """A method that permutes, its first batch, and the teacher's probabilities at temperature 4."""
    method, batch = ready(treated(stage, "dkpp"))
    return method, batch, softmax(outputs_of(method, batch)[1].logits.double().numpy() / 4, 1)


def test_dkpp_keeps_the_teachers_maximum_and_permutes_its_other_probabilities(permuted):
    method, batch, teacher = permuted
    aim, best = target(method, batch), teacher.argmax(1)
    np.testing.assert_allclose(np.sort(aim, 1), np.sort(teacher, 1), atol=1e-6)
    assert (aim.argmax(1) == best).all()
    moved = np.abs(aim - teacher).max(1) > 1e-4
    assert moved.mean() > 0.9


def test_dkpp_minimises_cross_entropy_and_the_divergence_from_the_permuted_probabilities(permuted):
    method, batch, _ = permuted
    student, labels = outputs_of(method, batch)[0].logits.detach().double().numpy(), batch.targets.numpy()
    aim, known = target(method, batch), labels >= 0
    divergence = (aim * (np.log(aim) - log_softmax(student / 4, 1))).sum(1).mean()
    expected = 0.3 * cross_entropies(student[known], labels[known]).mean() + 0.7 * 16 * divergence
    assert method.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def test_the_permutation_of_dkpp_depends_on_the_step(permuted):
    method, batch, _ = permuted
    np.testing.assert_array_equal(target(method, batch), target(method, batch))
    assert np.abs(target(method, batch, step=1) - target(method, batch)).max() > 1e-4


def test_a_treatment_keeps_other_terms_and_allows_removed_ones():
    hint = {"weight": 2.0, "taps": ["mid"]}
    for treatment, names in (
        ("none", {"response_kd"}),
        ("cwtm", {"confidence_weighted_ce"}),
        ("dkpp", {"permuted_kd"}),
    ):
        terms = {"ce": None, "hint": hint}
        method = BornAgain(temperature=4.0, alpha=0.7, treatment=treatment, terms=terms)
        assert {term.name: term.weight for term in method.settings}["hint"] == 2.0
        assert {term.name for term in method.settings} == {*names, "hint"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"treatment": "cwmt"}, r"^loss\.treatment must be one of none, cwtm, dkpp; got 'cwmt'\.$"),
        ({"alpha": 1.5}, r"^loss\.alpha must lie in \[0, 1\] \(the weight of the teacher's term.*got 1\.5\."),
        ({"temperature": 0}, r"^loss\.temperature must be above 0, got 0\."),
    ],
)
def test_values_out_of_their_range_are_refused(arguments, text):
    with pytest.raises(BadInput, match=text):
        BornAgain(**{"temperature": 4.0, "alpha": 0.7, **arguments})

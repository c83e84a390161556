"""Deep mutual learning: both networks, each with the gradient of its own loss and no other."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import initial_network, initial_peer
from kdlab.methods import MutualLearning
from kdlab.tasks.image_classification import ImageClassification
from kdlab.tasks.predictions import predict
from tests.jobs.training.test_stage import stage_in, weights
from tests.methods.first_step import gradients, ready
from tests.small import tiny_plan


@pytest.fixture(scope="module")
def plan():
    return tiny_plan("loss=mutual", "loss.temperature=2")


def peer_of(method):
    (peer,) = method.teachers
    return peer.network


def deep_mutual_learning(network, peer, batch, temperature):
    """A step by hand: cross-entropy, and T² times the divergence from the other's outputs."""
    logits = [one.train()(batch.inputs) for one in (network, peer)]
    losses = []
    for own, other in (logits, reversed(logits)):
        soft = F.softmax(other.detach() / temperature, dim=1)
        divergence = (soft * (soft.log() - F.log_softmax(own / temperature, dim=1))).sum(1).mean()
        losses.append(temperature**2 * divergence + F.cross_entropy(own, batch.targets))
    for loss in losses:
        loss.backward()
    return losses


def test_a_step_gives_both_networks_the_gradients_of_their_own_losses(plan):
    method, batch = ready(plan.student)
    network, peer = initial_network(plan.student), initial_peer(plan.student)
    losses = deep_mutual_learning(network, peer, batch, temperature=2)
    assert 0 < (batch.targets >= 0).sum() < len(batch.targets)
    value = method.training_step(batch, 0)
    value.backward()
    assert value.item() == pytest.approx(sum(loss.item() for loss in losses), rel=1e-5)
    for mine, other in ((method.student, network), (peer_of(method), peer)):
        assert set(gradients(mine)) == {name for name, _ in other.named_parameters()}
        torch.testing.assert_close(gradients(mine), gradients(other), rtol=1e-4, atol=1e-6)


def test_without_labels_each_is_still_trained_on_the_other(plan):
    method, batch = ready(plan.student)
    batch = batch._replace(targets=torch.full_like(batch.targets, -100))
    method.training_step(batch, 0).backward()
    logits = [network(batch.inputs).detach() / 2 for network in (method.student, peer_of(method))]
    for network, own, other in ((method.student, *logits), (peer_of(method), *reversed(logits))):
        bias = network.module.get_submodule("fc").bias.grad  # of a sum over samples of T · (own - other) / batch
        torch.testing.assert_close(bias, 2 * (own.softmax(1) - other.softmax(1)).mean(0), rtol=1e-4, atol=1e-6)


HINT = "loss.terms.hint={taps:[mid],teacher_taps:[high],adapter:student,weight:3}"


def test_features_are_compared_in_both_directions_through_separate_adapters():
    method, batch = ready(tiny_plan("loss=mutual", HINT).student)
    student, inputs = method.student_outputs(batch, 0)
    ((peer, _),) = method.teacher_outputs(batch)
    (of_student,), (of_peer,) = (
        [term for term in terms if term.name == "hint"] for terms in (method.terms, method.peer_terms)
    )
    widths = [next(term.parameters()).shape[:2] for term in (of_student, of_peer)]
    assert widths == [(8, 4), (4, 8)]  # the student's mid to the peer's high, and the peer's mid to the student's high
    for term, own, other, mine, theirs in (
        (of_student, student, peer, method.student, peer_of(method)),
        (of_peer, peer, student, peer_of(method), method.student),
    ):
        value = term(own, [(other, 1.0)], inputs)
        ((adapter,),) = ([part for part in row[0].adapters] for row in term.comparisons)
        mapped = adapter(F.adaptive_avg_pool2d(own.features["mid"], other.features["high"].shape[-1]))
        torch.testing.assert_close(value, F.mse_loss(mapped, other.features["high"]))
        for network, is_trained in ((mine, True), (theirs, False)):
            grads = torch.autograd.grad(value, list(network.parameters()), retain_graph=True, allow_unused=True)
            assert any(grad is not None and grad.abs().sum() > 0 for grad in grads) == is_trained


def test_the_loss_is_the_weighted_sum_over_both_directions():
    method, batch = ready(tiny_plan("loss=mutual", HINT).student)
    student, inputs = method.student_outputs(batch, 0)
    teachers = method.teacher_outputs(batch)
    of_student = {term.name: term(student, teachers, inputs).item() for term in method.terms}
    of_peer = {term.name: term(teachers[0][0], [(student, 1.0)], inputs).item() for term in method.peer_terms}
    expected = sum(
        {"ce": 1, "response_kd": 1, "hint": 3}[name] * (of_student[name] + of_peer[name]) for name in of_student
    )
    assert method.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def test_a_term_that_fits_one_direction_only_is_refused_before_training():
    hint = "loss.terms.hint={taps:[mid],teacher_taps:[low]}"
    alike = ("model.teacher.kwargs.widths=[4,4,8,16]", "model.student.kwargs.widths=[4,4,8,16]")
    stage = tiny_plan("loss=mutual", hint, *alike, "model.teacher.taps.low=layer2").student
    with pytest.raises(
        BadInput, match=r"^loss\.terms\.hint: .* got student \(8, 8, 16, 16\) and teacher \(8, 4, 32, 32\)"
    ):
        check_stages([stage])


def test_two_networks_of_one_architecture_start_from_different_weights(plan):
    stage = replace(plan.student, peer={**plan.student.network})
    first, second = (network.module.conv1.weight for network in (initial_network(stage), initial_peer(stage)))
    assert not torch.equal(first, second)


def test_the_peer_is_trained_and_reported_and_not_exported(plan, tmp_path):
    folder = stage_in(tmp_path, plan, "student")
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    peer = initial_peer(plan.student)
    before = peer.module.conv1.weight.clone()
    prefix = "companions.0.network.module."
    peer.module.load_state_dict({name[len(prefix) :]: of for name, of in state.items() if name.startswith(prefix)})
    assert not torch.equal(peer.module.conv1.weight, before)
    data = make_data(plan.student.data)
    data.setup("test")
    task = ImageClassification()
    figures = task.figures(*predict(peer, data.test_dataloader(), torch.device("cpu"), task))
    result = json.loads((folder / "result.json").read_text())
    expected = {f"test/{name}": value for name, value in figures.items()}
    assert result["companions"] == {"peer": pytest.approx(expected, rel=1e-6)}
    assert result["test/accuracy"] != result["companions"]["peer"]["test/accuracy"]
    bare = initial_network(plan.student)
    assert set(weights(folder)) == set(bare.module.state_dict())
    assert result["params"] == sum(parameter.numel() for parameter in bare.parameters())
    assert result["teacher_forwards"] == 0


def test_terms_that_do_not_compare_the_networks_are_refused():
    text = r"^loss\.terms needs one .* that compares the two networks, got only ce\. Set loss\.terms\.response_kd\.wei"
    with pytest.raises(BadInput, match=text):
        MutualLearning(temperature=1.0, terms={"response_kd": {"weight": 0.0}})

"""Self-distillation: the average of the student's weights, and its outputs."""

import copy
import json

import pytest
import torch
from lightning.pytorch import Callback

from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import initial_network
from kdlab.methods import MeanTeacher
from kdlab.tasks.image_classification import ImageClassification
from kdlab.tasks.predictions import predict
from tests.jobs.training.test_stage import stage_in, weights
from tests.methods.first_step import ready
from tests.small import tiny_plan

DECAY = 0.6


class Watch(Callback):
    """The student's state after each step, and that no gradient ever reaches the average."""

    def __init__(self) -> None:
        self.states = []

    def on_train_batch_end(self, trainer, pl_module, *arguments) -> None:
        state = pl_module.student.module.state_dict()
        self.states.append({name: tensor.clone() for name, tensor in state.items()})
        average = list(pl_module.companions.parameters())
        assert average and all(parameter.grad is None and not parameter.requires_grad for parameter in average)


@pytest.fixture(scope="module")
def plan():
    return tiny_plan("loss=mean_teacher", f"loss.decay={DECAY}")


@pytest.fixture(scope="module")
def trained(plan, tmp_path_factory):
    """The folder of a student after six steps, and its state after each."""
    watch = Watch()
    return stage_in(tmp_path_factory.mktemp("self"), plan, "student", [watch]), watch.states


def averaged(states, decay):
    """From the first step's weights on, each new average is `decay` of the old one and the rest of the new weights."""
    average = {name: tensor.double() for name, tensor in states[0].items()}
    for state in states[1:]:
        average = {name: decay * average[name] + (1 - decay) * tensor.double() for name, tensor in state.items()}
    return average


def in_checkpoint(folder):
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    prefix = "companions.0.average.module.module."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def test_the_average_in_the_checkpoint_is_that_of_the_students_weights_after_every_step(plan, trained):
    folder, states = trained
    assert len(states) == 6
    found, expected = in_checkpoint(folder), averaged(states, DECAY)
    parameters = [name for name, _ in initial_network(plan.student).module.named_parameters()]
    for name in parameters:
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-5, atol=1e-7)
    buffers = set(found) - set(parameters)
    assert "bn1.running_mean" in buffers
    for name in buffers:
        torch.testing.assert_close(found[name], states[-1][name], rtol=0, atol=0)


def test_the_exported_student_is_not_the_average(trained):
    folder, states = trained
    torch.testing.assert_close(weights(folder), states[-1], rtol=0, atol=0)
    assert not torch.equal(weights(folder)["conv1.weight"], in_checkpoint(folder)["conv1.weight"])


def test_the_figures_of_the_average_are_in_the_stages_result(plan, trained):
    folder, _ = trained
    network = initial_network(plan.student)
    network.module.load_state_dict(in_checkpoint(folder))
    data = make_data(plan.student.data)
    data.setup("test")
    task = ImageClassification()
    figures = task.figures(*predict(network, data.test_dataloader(), torch.device("cpu"), task))
    found = json.loads((folder / "result.json").read_text())["companions"]
    assert found == {"average": pytest.approx({f"test/{name}": value for name, value in figures.items()}, rel=1e-6)}


def test_the_optimizer_updates_only_the_student(trained):
    folder, _ = trained
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert len(group["params"]) == sum("running" not in name and "num_b" not in name for name in weights(folder))


def test_the_teacher_is_the_average_in_eval_mode(plan):
    method, batch = ready(plan.student)
    twin = copy.deepcopy(method.student).eval()
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(1.0)  # changes the student, not its average
    method.train()
    ((outputs, weight),) = method.teacher_outputs(batch)
    torch.testing.assert_close(outputs.logits, twin(batch.inputs).detach(), rtol=0, atol=0)
    assert weight == 1.0 and not outputs.logits.requires_grad


def test_features_of_the_average_are_targets_too():
    features = "loss.terms.hint={taps:[mid],teacher_taps:[high],adapter:student}"
    method, batch = ready(tiny_plan("loss=mean_teacher", features).student)
    student, inputs = method.student_outputs(batch, 0)
    ((average, _),) = method.teacher_outputs(batch)
    twin = copy.deepcopy(method.teachers[0].network).eval()
    captured = []
    twin.module.layer3.register_forward_hook(lambda module, inputs, output: captured.append(output))
    twin(batch.inputs)
    torch.testing.assert_close(average.features["high"], captured[0].detach(), rtol=0, atol=0)
    (term,) = [term for term in method.terms if term.name == "hint"]
    own = torch.nn.functional.avg_pool2d(student.features["mid"], 2)
    expected = (term.comparisons[0][0].adapters[0](own) - average.features["high"]).square().mean()
    torch.testing.assert_close(term(student, method.teacher_outputs(batch), inputs), expected)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"decay": 1.0}, r"^loss\.decay must lie in \[0, 1\), got 1\.0\. For example loss\.decay=0\.99\.$"),
        ({"decay": -0.1}, r"^loss\.decay must lie in \[0, 1\), got -0\.1"),
        ({"decay": "slow"}, r"^loss\.decay must lie in \[0, 1\), got 'slow'"),
        ({"alpha": 2}, r"^loss\.alpha must lie in \[0, 1\]"),
    ],
)
def test_values_out_of_their_range_are_refused(arguments, text):
    with pytest.raises(BadInput, match=text):
        MeanTeacher(**{"temperature": 1.0, "alpha": 0.5, **arguments})

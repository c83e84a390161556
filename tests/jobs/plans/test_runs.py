"""Plans run by the train command: what they share, write and print."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
from scipy.special import log_softmax, logsumexp, softmax

from kdlab.errors import BadInput
from kdlab.jobs.events import Finished
from kdlab.jobs.export.settings import ExportSettings
from kdlab.sweeps.cli import run
from kdlab.tracking.cell import figures
from kdlab.train import train
from tests.small import TINY

ASSISTANT = "plan.assistants=[{source: cifar, name: resnet8, kwargs: {widths: [3, 3, 6, 6]}}]"


def trained(output):
    return [line.split()[1] for line in output.splitlines() if line.startswith("✓") and "reused" not in line]


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def predictions(folder, stage):
    tensors = safetensors.numpy.load_file(folder / stage / "predictions.safetensors")
    return tensors["logits"].astype(np.float64), tensors["targets"]


def accuracy(logits, targets):
    return 100 * (logits.argmax(1) == targets).mean()


def nll(log_probabilities, targets):
    return -log_probabilities[np.arange(len(targets)), targets].mean()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def generations(outputs):
    """The folder of three generations, after a sweep over one, two and three, and the stages that it trained."""
    events = []
    arguments = ["-m", *TINY, "epochs=3", "plan=born_again", "plan.generations=1,2,3", f"paths.outputs={outputs}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdlab.screen.run.Screen.__call__", lambda self, event: events.append(event))
        assert run(train, arguments) == 0
    (folder,) = (path.parent for path in outputs.glob("*/result.json") if len(result_of(path.parent)["stages"]) == 4)
    return folder, [event.job.name for event in events if isinstance(event, Finished) and not event.reused]


def test_a_sweep_over_generations_trains_each_of_them_once(generations):
    _, names = generations
    assert sorted(names) == ["control", "control", "generation1", "generation2", "generation3"]


def test_generations_are_reported_with_their_gains(generations):
    folder, _ = generations
    result = result_of(folder)
    found = {name: accuracy(*predictions(folder, name)) for name in ("generation1", "generation2", "generation3")}
    assert [one["test/accuracy"] for one in result["generations"]] == pytest.approx(list(found.values()))
    assert result["gain"] == pytest.approx(found["generation3"] - found["generation1"])
    control = accuracy(*predictions(folder, "control"))
    assert result["gain_over_control"] == pytest.approx(found["generation3"] - control)
    assert (result["control"]["epochs"], result["student"]["epochs"]) == (9, 3)
    second, third = (predictions(folder, name)[0] for name in ("generation2", "generation3"))
    assert result["agreement"] == pytest.approx(100 * np.mean(second.argmax(1) == third.argmax(1)))


def test_the_ensemble_averages_probabilities(generations):
    folder, _ = generations
    ensemble = result_of(folder)["ensemble"]
    logits, targets = zip(*(predictions(folder, f"generation{number}") for number in (1, 2, 3)), strict=True)
    mean = np.mean([softmax(one, axis=1) for one in logits], axis=0)
    assert ensemble["test/accuracy"] == pytest.approx(accuracy(mean, targets[0]))
    assert ensemble["test/nll"] == pytest.approx(nll(np.log(mean), targets[0]), rel=1e-5)
    assert ensemble["from"] == "probabilities"


def test_the_ensemble_of_logits_trains_nothing_new(generations, outputs, capfd):
    arguments = [*TINY, "epochs=3", "plan=born_again", "plan.ensemble=logits", f"paths.outputs={outputs}"]
    assert run(train, [*arguments, "name=logits"]) == 0
    output = capfd.readouterr().out
    assert trained(output) == []
    (folder,) = outputs.glob("logits-*")
    logits, targets = zip(*(predictions(folder, f"generation{number}") for number in (1, 2, 3)), strict=True)
    expected = nll(log_softmax(np.mean(logits, axis=0), axis=1), targets[0])
    assert result_of(folder)["ensemble"]["test/nll"] == pytest.approx(expected, rel=1e-5)
    assert "gain over generation 1 " in output
    assert "gain over 9 epochs with labels only " in output
    assert "all 3 generations together (mean logits) " in output


def test_roles_are_linked_beside_the_stages(generations):
    folder, _ = generations
    links = {path.name: path.resolve() for path in folder.iterdir() if path.is_symlink()}
    assert links["student"] == links["generation3"]
    assert links["teacher"] == links["generation2"]
    assert links["baseline"] == links["generation1"]


@pytest.fixture(scope="module")
def chain(outputs):
    single = [*TINY, "epochs=3", f"paths.outputs={outputs}", "name=single"]
    assert run(train, single) == 0
    assert run(train, [*TINY, "epochs=3", "plan=assistant", ASSISTANT, f"paths.outputs={outputs}", "name=chain"]) == 0
    (folder,) = outputs.glob("chain-*")
    return folder


def test_a_cascade_reuses_the_stages_of_the_single_plan(chain):
    stages = result_of(chain)["stages"]
    reused = {stage["name"]: stage["reused"] for stage in stages}
    assert reused == {"teacher": True, "baseline": True, "control": True, "step1": False, "step2": False}


def test_steps_are_reported_with_their_sizes_epochs_and_figures(chain):
    result = result_of(chain)
    steps = result["steps"]
    assert [(step["name"], step["epochs"], step["target_params"]) for step in steps] == [
        ("step1", 1, None),
        ("step2", 2, None),
    ]
    assert steps[0]["network"] == {"source": "cifar", "name": "resnet8", "kwargs": {"widths": [3, 3, 6, 6]}}
    sizes = [result["teacher"]["params"], *(step["params"] for step in steps)]
    assert [step["ratio"] for step in steps] == [sizes[0] / sizes[1], sizes[1] / sizes[2]]
    found = [accuracy(*predictions(chain, step["name"])) for step in steps]
    assert [step["figures"]["test/accuracy"] for step in steps] == pytest.approx(found)
    assert result["gain_over_control"] == pytest.approx(found[1] - accuracy(*predictions(chain, "control")))
    assert result["student"] == steps[1]["figures"]


def test_a_cascade_prints_its_gain_over_one_step(outputs, capfd, chain):
    assert run(train, [*TINY, "epochs=3", "plan=assistant", ASSISTANT, f"paths.outputs={outputs}", "name=chain"]) == 0
    output = capfd.readouterr().out
    assert "resnet8 → resnet8 → resnet8 on Digits" in output
    assert "gain over 3 epochs with the teacher in one step " in output
    assert "One seed, 3 epochs" in output
    (table,) = (part for part in output.split("\n\n") if part.lstrip().startswith("teacher"))
    assert max(map(len, table.splitlines())) <= 100


def test_wandb_gets_the_figures_of_every_step_and_generation(chain, generations):
    summary = figures(result_of(chain))
    assert {"control", "gain_over_control", "step1", "step2"} <= set(summary)
    summary = figures(result_of(generations[0]))
    assert {"control", "gain_over_control", "ensemble", "generation1", "generation3"} <= set(summary)
    assert summary["generation2"]["test/accuracy"] == summary["teacher"]["test/accuracy"]


def test_several_teachers_are_reported_as_the_weighted_mean_of_their_probabilities(outputs):
    second = ["+model/teacher@model.teachers.second=resnet8", "model.teachers.second.train.epochs=1"]
    weights = ["model.teachers.second.weight=3", "+model.teachers.second.kwargs.widths=[2,2,4,4]"]
    assert run(train, [*TINY, *second, *weights, f"paths.outputs={outputs}", "name=two"]) == 0
    (folder,) = outputs.glob("two-*")
    result = result_of(folder)
    (one, targets), (other, _) = (predictions(folder, name) for name in ("teacher", "teacher_second"))
    log_mean = logsumexp(
        [log_softmax(one, axis=1), log_softmax(other, axis=1)], axis=0, b=np.array([0.25, 0.75]).reshape(2, 1, 1)
    )
    assert result["teacher"]["test/accuracy"] == pytest.approx(accuracy(log_mean, targets))
    assert result["teacher"]["test/nll"] == pytest.approx(nll(log_mean, targets), rel=1e-5)
    student, _ = predictions(folder, "student")
    assert result["agreement"] == pytest.approx(100 * np.mean(student.argmax(1) == log_mean.argmax(1)))
    by_name = result["teachers"]
    assert list(by_name) == ["teacher", "teacher_second"]
    assert result["teacher"]["params"] == sum(found["params"] for found in by_name.values())
    assert by_name["teacher_second"]["test/accuracy"] == pytest.approx(accuracy(other, targets))


def test_an_assistant_may_be_an_option_of_the_users_own_folder(outputs, tmp_path):
    (tmp_path / "network").mkdir()
    own = "source: cifar\nname: resnet8\nkwargs: {widths: [3, 3, 6, 6]}\ntaps: {}\n"
    (tmp_path / "network" / "mine.yaml").write_text(own)
    arguments = [*TINY, "plan=assistant", "plan.assistants=[mine]", f"paths.outputs={outputs}", "name=own"]
    assert run(train, ["--config-dir", str(tmp_path), *arguments]) == 0
    (folder,) = outputs.glob("own-*")
    assert result_of(folder)["steps"][0]["network"]["kwargs"] == {"widths": [3, 3, 6, 6]}


def test_a_plan_with_one_teacher_reports_no_cascade(chain, outputs):
    (folder,) = outputs.glob("single-*")
    assert not {"steps", "generations", "ensemble", "teachers"} & set(result_of(folder))
    assert result_of(folder)["control"] is None


COMPRESS = ("plan=compress", "plan.prune.round_to=1", "plan.prune.ratio=0.3", "plan.prune.recalibration_samples=64")


def test_a_pruned_student_is_reported_beside_its_unpruned_self_and_its_recovery_from_labels(tmp_path, capsys):
    assert run(train, [*TINY, *COMPRESS, f"paths.outputs={tmp_path}"]) == 0
    (folder,) = (path.parent for path in tmp_path.glob("*/result.json"))
    result, printed = result_of(folder), capsys.readouterr().out
    stages = ("pruned", "from_labels", "unpruned")
    student, baseline, unpruned = (json.loads((folder / name / "result.json").read_text()) for name in stages)
    found = {name: accuracy(*predictions(folder, name)) for name in stages}
    assert result["gain"] == pytest.approx(found["pruned"] - found["from_labels"])
    assert [(step["name"], step["figures"]["flops"]) for step in result["steps"]] == [
        ("unpruned", unpruned["flops"]),
        ("pruned", student["flops"]),
    ]
    assert baseline["flops"] == student["flops"] == result["student"]["flops"]
    pruning = result["pruning"]
    assert (pruning["of"], pruning["ratio"], pruning["sparsity"]) == ("unpruned", 0.3, 0)
    assert pruning["flops_removed"] == pytest.approx(1 - student["flops"] / unpruned["flops"])
    assert pruning["params_removed"] == pytest.approx(1 - student["params"] / unpruned["params"])
    assert pruning["gain"] == pytest.approx(found["pruned"] - found["unpruned"])
    assert f"gain over fine-tuning with labels only {result['gain']:+.2f} points of test accuracy" in printed
    assert f"pruned: {100 * pruning['flops_removed']:.0f} % fewer FLOPs, " in printed
    assert "resnet8 → resnet8 → " not in printed and "resnet8 → resnet8 pruned" in printed
    assert not any("plan=assistant" in hint and "pruned" in hint for hint in result["hints"])


def test_a_quantised_student_is_reported_exported_and_runs_as_it_was_trained(tmp_path, capsys):
    arguments = ["plan=qat", "plan.qat.calibration_samples=64", "export=onnx", "export.min_agreement=100"]
    quick = ["export.measure.rounds=1", "export.measure.batches=[1]"]
    assert run(train, [*TINY, *arguments, *quick, f"paths.outputs={tmp_path}"]) == 0
    (folder,) = (path.parent for path in tmp_path.glob("*/result.json"))
    result, printed = result_of(folder), capsys.readouterr().out
    found = {name: accuracy(*predictions(folder, name)) for name in ("quantised", "from_labels", "float32")}
    assert result["gain"] == pytest.approx(found["quantised"] - found["from_labels"])
    change = {"calibration_samples": 64, "of": "float32", "gain": found["quantised"] - found["float32"]}
    assert result["quantisation"] == pytest.approx(change)
    assert f"gain over fine-tuning with labels only {result['gain']:+.2f} points of test accuracy" in printed
    assert "quantised: weights and activations of 8 bits, as its INT8 file computes; " in printed
    assert "resnet8 → resnet8 quantised" in printed
    (export,) = (json.loads(path.read_text()) for path in folder.glob("export-*/result.json"))
    assert [(one["artifact"], one["made_by"]) for one in export["artifacts"]] == [("resnet8-int8.onnx", "torchao")]
    (pair,) = export["pairs"]
    assert (pair["agreement"], pair["drop"], export["refused"]) == (100, 0, {})
    assert {row["name"] for row in export["latency"]} == {"teacher resnet8", "resnet8-int8.onnx"}


def test_a_quantised_student_has_no_float32_file():
    settings = ExportSettings(artifacts=("onnx",))
    student = SimpleNamespace(change="quantised", label="student resnet8")
    with pytest.raises(BadInput, match=r"export\.artifacts must list onnx_int8 for student resnet8.*\[onnx_int8\]"):
        settings.jobs(student)

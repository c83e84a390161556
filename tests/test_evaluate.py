"""`python -m kdlab.evaluate`, in this process."""

import json
import shutil
import sys

import pytest
import torch

import kdlab
from kdlab.data.image.corruptions import CORRUPTIONS, corrupted
from kdlab.data.image.digits import Digits
from kdlab.evaluate import evaluate, main, robustness
from kdlab.reporting.assemble import collect
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("evaluate")
    assert run(train, [*TINY, f"paths.outputs={outputs}"]) == 0
    (path,) = outputs.glob("response-*")
    return path


def evaluated(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    return main()


@pytest.mark.parametrize("role", ["student", "teacher", "baseline"])
@pytest.mark.parametrize("overrides", [[], ["data.eval_batch_size=100"]])
def test_agrees_with_the_result_of_the_run(role, overrides, run_dir):
    result = json.loads((run_dir / "result.json").read_text())[role]
    figures = evaluate(str(run_dir / role), overrides)
    for name in ("test/accuracy", "test/nll", "test/ece", "params"):
        assert figures[name] == pytest.approx(result[name], rel=1e-5)
    assert figures["samples"] == 500


def test_of_a_run_directory_the_student_is_evaluated_and_a_folder_of_the_store_directly(run_dir):
    figures = evaluate(str(run_dir))
    assert figures == evaluate(str(run_dir / "student")) == evaluate(str((run_dir / "student").resolve()))


def test_shows_a_table(run_dir, monkeypatch, capsys):
    assert evaluated(monkeypatch, run_dir / "teacher") == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("teacher", "test accuracy", "on 500 test samples"))


CLASSES = "data must have the 10 classes that the network predicts, got data with 2. Choose data=… to match."


def test_other_classes_are_refused(run_dir, tmp_path, monkeypatch, capsys):
    from PIL import Image

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (8, 8)).save(tmp_path / split / name / f"{number}.png")
    arguments = ("data=image_folder", f"data.root={tmp_path}", "data.val_fraction=0", "data.train_samples=null")
    assert evaluated(monkeypatch, run_dir, *arguments) == 2
    assert f"error: {CLASSES}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["data.paddin=3"], "data.paddin=3: data.paddin is not a setting with data=digits. Did you mean data.padding?"),
        (["data=digit"], "data=digit: data has no option 'digit'. Did you mean data=digits?"),
        (["loss.temperature=3"], "loss.temperature=3: an evaluation takes the network as the run left it"),
        (
            ["data.corruption=fogg"],
            "data.corruption must be the name of a corruption, or all; got 'fogg'. Did you mean",
        ),
        (
            ["data.corruption=rust"],
            "data.corruption must be the name of a corruption, or all; got 'rust'. There are:",
        ),
        (["data.corruption=fog", "data.severity=6"], "data.severity must be a whole number from 1 to 5, got 6."),
        (["data.severity=2"], "data.severity=2 is the severity of a corruption, and there is none. Name it, or all of"),
        (["data=cifar10", "paths.data=nowhere"], "CIFAR10 in nowhere/cifar-10-batches-py is not there"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error(arguments, text, run_dir, monkeypatch, capsys):
    assert evaluated(monkeypatch, run_dir, *arguments) == 2
    assert f"error: {text}" in capsys.readouterr().err


def test_an_absent_run_is_an_error(monkeypatch, capsys):
    assert evaluated(monkeypatch, "outputs/nowhere") == 2
    assert "error: outputs/nowhere holds no finished network. Name a run directory such as" in capsys.readouterr().err


def test_wrong_arguments_are_an_error_before_torch_is_imported(run_dir, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert evaluated(monkeypatch) == 2
    assert "error: the following arguments are required: RUN. python -m" in capsys.readouterr().err
    assert evaluated(monkeypatch, run_dir, "loss.temperature=3") == evaluated(monkeypatch, "nowhere") == 2


def test_networks_are_evaluated_on_corrupted_test_images(run_dir):
    found = robustness(str(run_dir), "gaussian_noise", 5)
    data = Digits(seed=0)
    data.setup("test")
    batches = list(data.test_dataloader())
    images, labels = torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])
    changed = corrupted(images, torch.arange(500), "gaussian_noise", 5)
    for role in ("teacher", "baseline", "student"):
        network = kdlab.load(run_dir / role)
        for name, inputs in (("clean", images), ("gaussian_noise", changed)):
            right = (network(inputs).argmax(-1) == labels).double().mean().item()
            assert found["accuracy"][role][name] == pytest.approx(100 * right)
    assert found["labels"]["student"] == "resnet8"
    assert not (run_dir / "robustness.json").exists()


def test_all_corruptions_of_a_run_are_kept_for_its_report(run_dir, monkeypatch, capsys, tmp_path):
    shutil.copytree(run_dir.parent, tmp_path / "outputs", symlinks=True)
    run = tmp_path / "outputs" / run_dir.name
    assert evaluated(monkeypatch, run, "data.corruption=all", "data.severity=2") == 0
    shown = capsys.readouterr().out
    assert all(name.replace("_", " ") in shown for name in CORRUPTIONS)
    assert "on 500 test images at severity 2 of 5" in shown and "robustness.json" in shown
    (reported,) = collect([run]).settings[0].runs
    assert reported.result["robustness"] == json.loads((run / "robustness.json").read_text())
    (run / "robustness.json").write_text("{}")
    evidence = collect([run])
    assert "robustness" not in evidence.settings[0].runs[0].result
    assert any("robustness.json was skipped: it cannot be read (KeyError" in remark for remark in evidence.remarks)


def test_of_one_stage_only_its_network_is_shown(run_dir, monkeypatch, capsys):
    assert evaluated(monkeypatch, run_dir / "teacher", "data.corruption=fog") == 0
    shown = capsys.readouterr().out
    assert "The teacher loses" in shown and "baseline" not in shown


def test_only_raw_images_can_be_corrupted(run_dir, monkeypatch, capsys):
    def floats(self, source, batches):
        return (torch.zeros(len(indices.samples), 3, 32, 32) for indices in batches)

    monkeypatch.setattr(Digits, "inputs", floats)
    assert evaluated(monkeypatch, run_dir, "data.corruption=fog") == 2
    assert "data.corruption needs raw images, uint8 of (samples, channels, height, width), got torch.float32" in (
        capsys.readouterr().err
    )

"""`python -m kdlab.evaluate`, in this process."""

import json
import sys

import pytest

from kdlab.evaluate import evaluate, main
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

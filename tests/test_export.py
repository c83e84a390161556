"""`python -m kdlab.export`, in this process: what is written and said, what is refused, and what is reused."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import yaml

import kdlab
from kdlab.config.compose import checked_overrides
from kdlab.export import main
from kdlab.jobs.export import int8, settings
from kdlab.runtime import export as runtime
from tests.jobs.export.conftest import LEARNED

FLOAT = "export.artifacts=[onnx]"
QUICK = ["export.measure.rounds=1", "export.measure.batches=[1]", "export.min_agreement=95"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    kdlab.run(kdlab.plan(LEARNED), store=outputs / "store", run_dir=outputs / "run")
    return outputs


@pytest.fixture
def outputs(trained, tmp_path_factory):
    """A copy of the run and its store, so that tests do not share artifacts."""
    copy = tmp_path_factory.mktemp("copy") / "outputs"
    shutil.copytree(trained, copy, symlinks=True)
    return copy


def exported(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    return main()


def folder_in(run):
    (folder,) = run.glob("export-*")
    return folder


def test_writes_artifacts_a_card_an_example_and_the_result(outputs, monkeypatch, capsys):
    assert exported(monkeypatch, outputs / "run", *QUICK) == 0
    folder, printed = folder_in(outputs / "run"), capsys.readouterr().out
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    weights = {f"resnet8/{name}" for name in ("README.md", "config.json", "model.safetensors")}
    files = {"resnet8.onnx", "resnet8-int8.onnx", "resnet8.pt2", "README.md", "example.py", "images.npy", "result.json"}
    assert names == files | weights
    result = json.loads((folder / "result.json").read_text())
    shown = f"Ship {result['recommended']['artifact']} with onnxruntime:"
    assert shown in printed
    assert str(folder) in printed
    check_example(folder)
    check_card(folder, result)
    check_reuse(outputs, monkeypatch, capsys)


def check_example(folder):
    """It runs where kdlab cannot be imported, and prints one label an image: that of the student."""
    code = (folder / "example.py").read_text()
    assert len(code.splitlines()) <= 20
    assert not {"kdlab", "torch"} & set(code.replace(".", " ").split())
    command = [sys.executable, "-I", str(folder / "example.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.splitlines()
    images = np.load(folder / "images.npy")
    import torch

    student = kdlab.load(folder.parent)
    with torch.no_grad():
        expected = student(torch.from_numpy(images)).softmax(1)
    assert [line.split()[0] for line in printed] == [str(one) for one in expected.argmax(1).tolist()]
    np.testing.assert_allclose([float(line.split()[1]) for line in printed], expected.max(1).values, atol=0.05)


def check_card(folder, result):
    card = (folder / "README.md").read_text()
    assert card == (folder / "resnet8" / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    about = yaml.safe_load(header)
    (entry,) = about["model-index"]
    assert entry["results"][0]["metrics"][0]["value"] == pytest.approx(result["student"]["test/accuracy"])
    for artifact in result["artifacts"]:
        for value in artifact["sha256"].values():
            assert value in text


def check_reuse(outputs, monkeypatch, capsys):
    """With another number of calibration samples only INT8 and what follows from it is done again."""
    assert exported(monkeypatch, outputs / "run", *QUICK, "export.calibration_samples=64") == 0
    capsys.readouterr()
    folders = sorted((outputs / "run").glob("export-*"), key=lambda path: path.stat().st_mtime)
    stages = json.loads((folders[-1] / "result.json").read_text())["stages"]
    assert len(folders) == 2
    assert {one["name"] for one in stages if not one["reused"]} == {
        "resnet8-int8.onnx",
        "resnet8-int8.onnx in onnxruntime",
        "resnet8-int8.onnx in onnx",
        "latency",
    }
    assert exported(monkeypatch, outputs / "run", *QUICK, "export.calibration_samples=64") == 0
    assert all(one["reused"] for one in json.loads((folders[-1] / "result.json").read_text())["stages"])


def test_a_file_calibrated_on_one_colour_is_refused_kept_aside_and_explained(outputs, monkeypatch, capsys):
    grey = int8.calibration_samples

    def constant(settings, count):
        return grey(settings, count).fill_(127)

    monkeypatch.setattr(int8, "calibration_samples", constant)
    assert exported(monkeypatch, outputs / "run", *QUICK) == 1
    folder, printed = folder_in(outputs / "run"), capsys.readouterr().out
    assert not (folder / "resnet8-int8.onnx").exists()
    assert (folder / "refused" / "resnet8-int8.onnx").is_file()
    assert (folder / "resnet8.onnx").is_file()
    assert "refused: resnet8-int8.onnx: accuracy falls by" in printed
    assert "less than export.min_agreement=95" in printed
    assert "Layers with the lowest signal over rounding noise: " in printed
    assert "export.keep_float=[" in printed
    assert "Ship resnet8.onnx with onnxruntime" in printed
    assert "resnet8-int8.onnx" not in (folder / "example.py").read_text()
    (hint,) = re.findall(r"(export\.keep_float=\S+\]),? ", printed.replace("\n", " "))
    kept = checked_overrides(["export=onnx", hint]).config.export.keep_float
    assert set(kept) <= {node.name for node in onnx.load(folder / "resnet8.onnx").graph.node}
    layers = json.loads((folder / "result.json").read_text())["layers"]["resnet8-int8.onnx"]
    assert 1 <= len(layers) <= 5
    assert [one["decibels"] for one in layers] == sorted(one["decibels"] for one in layers)


def test_a_budget_that_nothing_meets_says_what_each_misses(outputs, monkeypatch, capsys):
    assert exported(monkeypatch, outputs / "run", *QUICK, FLOAT, "export.max_size_mb=0.001") == 1
    printed = capsys.readouterr().out
    assert re.search(
        r"over budget: resnet8\.onnx in onnxruntime: 0\.3\d* MB against export\.max_size_mb=0\.001\.", printed
    )
    assert "No artifact meets the budgets" in printed
    assert "Ship" not in printed


def test_a_stage_of_the_store_is_exported_beside_it(outputs, monkeypatch, capsys):
    stage = (outputs / "run" / "teacher").resolve()
    quick = ["export.artifacts=[weights]", *QUICK]
    assert exported(monkeypatch, stage, *quick) == 0
    (folder,) = outputs.glob("export-resnet8-*")
    assert exported(monkeypatch, outputs / "run" / "teacher", *quick) == 0
    assert folder_in(outputs / "run").name.removeprefix("export-") == folder.name.removeprefix("export-resnet8-")
    assert exported(monkeypatch, stage, *quick, "--out", outputs / "mine") == 0
    assert (outputs / "mine" / "resnet8" / "model.safetensors").is_file()
    assert "weights" not in capsys.readouterr().err


def failing(monkeypatch, capsys, *arguments):
    code = exported(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["export.opset=7"], "export.opset must be a whole number from 18 to 23, got 7. For example: export.opset=20"),
        (
            ["export.opsett=7"],
            "export.opsett=7: export.opsett is not a setting with export=onnx. Did you mean export.opset?",
        ),
        (["export=onxx"], "export=onxx: export has no option 'onxx'. Did you mean export=onnx?"),
        (["data.root=x"], "data.root=x: an export takes the network as the run left it"),
        (["export.calibration_samples=0"], "export.calibration_samples must be a whole number, 10 or more"),
        (["export.artifacts=[coreml]"], "export.artifacts must list some of onnx, onnx_int8,"),
        (["export.engines=[]"], "export.engines must list some of onnxruntime, openvino,"),
        (["export.max_drop=-1"], "export.max_drop must be a number, from 0 to 100; got -1."),
        (["export.max_size_mb=small"], "export.max_size_mb must be a number, 0 or more; got 'small'."),
        (["export.measure.batches=[0]"], "export.measure takes whole numbers of 1 or more, got measure.batches=0."),
        (["export.measure.rounds=many"], "export.measure takes whole numbers of 1 or more, got measure.rounds=many."),
        (["--outt=x"], "--outt is not an argument of this command. Did you mean --out?"),
    ],
)
def test_wrong_settings_are_one_message(arguments, text, trained, monkeypatch, capsys):
    code, error = failing(monkeypatch, capsys, trained / "run", *arguments)
    assert (code, error.strip().count("\n")) == (2, 0), error
    assert error.strip().startswith(f"error: {text}")


def test_a_run_that_is_not_finished_is_refused(outputs, monkeypatch, capsys):
    student = (outputs / "run" / "student").resolve()
    (student / "result.json").unlink()
    code, error = failing(monkeypatch, capsys, outputs / "run")
    assert code == 2
    assert f"{outputs / 'run'} is not finished: {student} has no result.json. Run its command again." in error
    code, error = failing(monkeypatch, capsys, outputs / "nowhere")
    assert (code, "nowhere holds no finished network" in error) == (2, True)
    (outputs / "failed").mkdir()
    (outputs / "failed" / "result.json").write_text('{"status": "failed", "error": "the loss is not finite"}')
    code, error = failing(monkeypatch, capsys, outputs / "failed")
    assert (code, "failed holds no finished network" in error) == (2, True)


def test_a_copy_of_a_stage_is_refused_with_its_name(outputs, monkeypatch, capsys):
    stage = (outputs / "run" / "student").resolve()
    shutil.copytree(stage, outputs / "copy")
    code, error = failing(monkeypatch, capsys, outputs / "copy")
    assert code == 2
    assert f"got a copy of the stage {stage.name} in copy. Name the original, or rename it: {stage.name}." in error


def test_a_missing_package_names_its_extra(trained, monkeypatch, capsys):
    found = settings.find_spec
    monkeypatch.setattr(settings, "find_spec", lambda name: None if name == "nncf" else found(name))
    code, error = failing(monkeypatch, capsys, trained / "run", "export=openvino")
    assert code == 2
    assert "export needs nncf, which is not installed: pip install 'kdlab[openvino]'." in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(outputs, monkeypatch, capsys):
    (outputs / "locked").mkdir(mode=0o500)
    code, error = failing(monkeypatch, capsys, outputs / "run", "--out", outputs / "locked" / "mine")
    assert (code, "--out must be a folder that can be written" in error) == (2, True)


def test_a_file_in_the_way_of_out_is_refused_before_anything_is_exported(outputs, monkeypatch, capsys):
    (outputs / "taken").write_text("")
    monkeypatch.setattr(runtime, "execute", lambda *arguments: pytest.fail("something was exported"))
    code, error = failing(monkeypatch, capsys, outputs / "run", "--out", outputs / "taken")
    assert (code, "--out must be a folder that can be written" in error) == (2, True)


def test_a_full_disk_loses_nothing(outputs, small_disk, monkeypatch, capsys):
    """The artifacts are in the store; what fails is the export's folder."""
    (small_disk / "fill").write_bytes(bytes(295_000))
    code, error = failing(monkeypatch, capsys, outputs / "run", *QUICK, FLOAT, "--out", small_disk / "mine")
    assert (code, "The disk is full" in error) == (1, True), error
    assert exported(monkeypatch, outputs / "run", *QUICK, FLOAT) == 0
    stages = json.loads((folder_in(outputs / "run") / "result.json").read_text())["stages"]
    assert all(one["reused"] for one in stages)

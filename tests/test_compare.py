"""`python -m kdlab.compare`, in this process: what is measured, written, said, reused and refused."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from scipy.special import softmax

import kdlab
from kdlab import report
from kdlab.compare import main, split
from kdlab.data.batch import Batch
from kdlab.errors import JobFailed
from kdlab.inference import rounds
from kdlab.jobs.export.samples import test_set as the_test_set
from kdlab.jobs.export.samples import training_set
from kdlab.runtime import comparison
from tests.small import tiny_plan

QUICK = [
    *("export.measure.rounds=1", "export.measure.batches=[1]"),
    *("export.min_agreement=0", "export.max_drop=100", "export.max_difference=1"),
]
FIGURES = {"p95": 0.002, "p99": 0.003, "cold_start": 0.2, "memory_bytes": 5e7, "joules": None, "bare_p50": None}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Two seeds of one student."""
    folder = tmp_path_factory.mktemp("outputs")
    for seed in (0, 1):
        kdlab.run(tiny_plan("baseline=false", f"seed={seed}"), store=folder / "store", run_dir=folder / f"run-{seed}")
    return folder


def compared(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    return main()


@pytest.fixture
def without_processes(monkeypatch):
    """Measurements are made up, of artifacts that are there; returns what was asked for."""
    asked = []

    def run(variant, inputs):
        assert Path(variant.artifact).exists() and Path(inputs["inputs"]).is_file()
        asked.append(variant)
        return {**FIGURES, "p50": 0.001 * len(asked), "calls": 20}

    monkeypatch.setattr(rounds, "_run", run)
    return asked


def content_of(folder):
    return json.loads((folder / "comparison.json").read_text())


def result_of(outputs, seed, role="student"):
    return json.loads((outputs / f"run-{seed}" / "result.json").read_text())[role]


def test_all_networks_are_measured_in_the_same_rounds_and_shown_beside_the_teacher(
    outputs, without_processes, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "80")
    runs = [outputs / "run-1", outputs / "run-0"]
    assert compared(monkeypatch, *runs, *QUICK, "requests_per_second=10000") == 0
    (folder,) = outputs.glob("comparison-*")
    content, printed = content_of(folder), capsys.readouterr().out
    assert [[one["seed"] for one in network["seeds"]] for network in content["networks"]] == [[0], [0, 1]]
    timed = {(one["name"].partition(" ")[2], one["engine"]) for one in content["rounds"]}
    engines = {(name, "onnxruntime") for name in ("resnet8.onnx", "resnet8-int8.onnx")}
    assert timed == {("resnet8", "pytorch"), *engines}
    assert len(content["rounds"]) == 5  # of both seeds only the first
    assert {one["round"] for one in content["rounds"]} == {0}
    check_rows(content, outputs)
    check_files(folder, content)
    table = [line for line in printed.splitlines() if re.match(r" (float32|int8) ", line)]
    assert len(table) == 3 * 5
    assert max(map(len, table)) <= 80
    assert content["service"]["requests_per_second"] == 10000
    assert str(folder / "index.html") in printed.replace("\n", "")
    check_reuse(outputs, monkeypatch, runs)


def check_rows(content, outputs):
    """Against the results of the runs, and the files in the store."""
    eager, exact, rounded, student, student_rounded = content["rows"]
    assert [one["precision"] for one in content["rows"]] == ["float32", "float32", "int8", "float32", "int8"]
    reached = [result_of(outputs, seed)["test/accuracy"] for seed in (0, 1)]
    taught = result_of(outputs, 0, "teacher")
    assert eager["reached"]["mean"] == pytest.approx(taught["test/accuracy"])
    assert student["reached"]["mean"] == pytest.approx(sum(reached) / 2, abs=0.21)  # one image is 0.2
    assert student["drop"]["mean"] == pytest.approx(taught["test/accuracy"] - student["reached"]["mean"])
    assert student["params"] == result_of(outputs, 0)["params"]
    sizes = {}
    for file in outputs.glob("store/*/resnet8*.onnx"):
        sizes.setdefault(file.name, []).append(file.stat().st_size)
    assert exact["size_bytes"] in sizes["resnet8.onnx"]
    own = sorted(set(sizes["resnet8-int8.onnx"]) - {rounded["size_bytes"]})
    assert student_rounded["size_bytes"] == pytest.approx(sum(own) / len(own), rel=0.01)
    ratio = student["beside"]["engine"]["speedups"][0]["median"]
    assert ratio == pytest.approx(exact["latency"][0]["p50"] / student["latency"][0]["p50"])
    assert content["chosen"] is None or content["chosen"].endswith("in onnxruntime")


def check_files(folder, content):
    rows = list(csv.DictReader((folder / "comparison.csv").open()))
    assert [row["file"] for row in rows] == [row["file"] for row in content["rows"]]
    assert float(rows[3]["ms_batch1_threads1"]) == pytest.approx(1e3 * content["rows"][3]["latency"][0]["p50"])
    page = (folder / "index.html").read_text()
    assert all(row["file"] in page for row in content["rows"])
    assert {path.name for path in (folder / "plots").iterdir()} == {
        f"comparison-{name}.{kind}" for name in ("latency", "size") for kind in ("svg", "png")
    }


def check_reuse(outputs, monkeypatch, runs):
    """The same networks for another price: nothing is measured again, and the folder is the same."""
    before = {path: path.stat().st_mtime_ns for path in outputs.glob("store/*/result.json")}
    assert compared(monkeypatch, *runs, *QUICK, "price_per_core_hour=0.1") == 0
    assert {path: path.stat().st_mtime_ns for path in outputs.glob("store/*/result.json")} == before
    (folder,) = outputs.glob("comparison-*")
    assert content_of(folder)["service"]["price_per_core_hour"] == 0.1
    assert compared(monkeypatch, outputs / "run-0", *QUICK) == 0  # one seed less is another comparison, timed alike
    assert len(list(outputs.glob("comparison-*"))) == 2
    shutil.rmtree(next(path for path in outputs.glob("comparison-*") if path != folder))


def test_a_report_of_the_outputs_shows_the_comparison(outputs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["report", str(outputs), "--out", str(tmp_path)])
    assert report.main() == 0
    page, text = (tmp_path / "index.html").read_text(), (tmp_path / "report.md").read_text()
    assert "Which network does the same for less?" in page and "Which network does the same for less?" in text
    assert 'id="comparison-latency"' in page and (tmp_path / "plots" / "comparison-size.png").is_file()
    assert "| resnet8 (response) | resnet8-int8.onnx | onnxruntime |" in text


def test_refused_files_and_networks_that_cannot_be_exported_are_rows(
    outputs, without_processes, monkeypatch, tmp_path, capsys
):
    prove = comparison.prove

    def refusing(stage, *arguments):
        if stage.config["seed"] == 1 and stage.config["name"] == "student":
            raise JobFailed("torch's ONNX exporter refuses the network: no such operator.")
        return prove(stage, *arguments)

    monkeypatch.setattr(comparison, "prove", refusing)
    runs = [outputs / "run-0", outputs / "run-1"]
    assert compared(monkeypatch, *runs, *QUICK[:-1], "export.max_difference=0", "--out", tmp_path) == 0
    rows = content_of(tmp_path)["rows"]
    assert [bool(row["refused"]) for row in rows] == [False, True, False, True, True]
    assert re.match(r"its logits differ from the student's by up to \S+ of the largest logit", rows[1]["refused"])
    assert "seed 1: torch's ONNX exporter refuses the network: no such operator." in rows[4]["refused"]
    assert {variant.name.partition(" ")[2] for variant in without_processes} == {"resnet8", "resnet8-int8.onnx"}
    assert "refused: resnet8 (response), resnet8-int8.onnx in onnxruntime: seed 1: torch's" in capsys.readouterr().out


def test_runs_of_two_stores_are_compared_where_they_are(outputs, without_processes, monkeypatch, tmp_path):
    ignored = shutil.ignore_patterns("comparison-*")
    shutil.copytree(outputs, tmp_path / "other", symlinks=True, ignore=ignored)
    assert (
        compared(monkeypatch, tmp_path / "other" / "run-1", outputs / "run-0", *QUICK, "export.measure.batches=[2]")
        == 0
    )
    assert {Path(variant.artifact).is_relative_to(tmp_path) for variant in without_processes} == {True, False}
    (found,) = (tmp_path / "other").glob("comparison-*/comparison.json")
    assert [len(one["seeds"]) for one in json.loads(found.read_text())["networks"]] == [1, 2]


def logits_of(file, images):
    return onnxruntime.InferenceSession(str(file)).run(None, {"images": images.numpy()})[0]


def files_of(outputs, name):
    """Files of a name by the stage whose network they are."""
    files = outputs.glob(f"store/*/{name}")
    return {{one.key: one.value for one in onnx.load(file).metadata_props}["stage"]: file for file in files}


def split_of(batches):
    read = [Batch.of(batch) for batch in batches]
    return torch.cat([batch.inputs for batch in read]), torch.cat([batch.targets for batch in read]).numpy()


def deferring(student, teacher, threshold):
    """The labels of a cascade, and which samples the teacher labels."""
    unsure = softmax(student.astype(np.float32), axis=1).max(1) < threshold
    return np.where(unsure, teacher.argmax(1), student.argmax(1)), unsure


def cascade_by_hand(outputs, run, names, target):
    """Accuracy on test and the share that is deferred: with the lowest threshold, of all, that reaches the target."""
    stages = [(run / role).resolve().name for role in ("student", "teacher")]
    files = [files_of(outputs, name)[stage] for name, stage in zip(names, stages, strict=True)]
    data = yaml.safe_load((run / "student" / "config.yaml").read_text())["data"]
    validation, _ = split_of(training_set(data).val_dataloader())
    test, labels = split_of(the_test_set(data).test_dataloader())
    ours, theirs = (logits_of(file, validation) for file in files)
    thresholds = [*np.sort(softmax(ours.astype(np.float32), axis=1).max(1)), 2.0]
    agreement = [(deferring(ours, theirs, one)[0] == theirs.argmax(1)).mean() for one in thresholds]
    lowest = next(one for one, share in zip(thresholds, agreement, strict=True) if share >= target)
    predicted, unsure = deferring(*(logits_of(file, test) for file in files), lowest)
    return 100 * (predicted == labels).mean(), unsure.mean()


def test_a_cascade_is_a_row_with_a_threshold_from_validation_and_the_latency_of_both(
    outputs, without_processes, monkeypatch, tmp_path, capsys
):
    runs = [outputs / "run-0", outputs / "run-1"]
    assert compared(monkeypatch, *runs, *QUICK, "cascade=0.8", "--out", tmp_path) == 0
    content, printed = content_of(tmp_path), capsys.readouterr().out
    row, other = content["rows"][-2:]
    names = row["file"].split(", ")
    files = {(one["is_teacher"], one["file"]): one for one in content["rows"] if one["engine"] == "onnxruntime"}
    seconds = {file: one["latency"][0]["p50"] for (is_teacher, file), one in files.items() if is_teacher}
    assert names == ["resnet8.onnx", min(seconds, key=seconds.get)]
    assert other["file"].split(", ") == ["resnet8-int8.onnx", names[1]]
    (first, share), (second, _) = (cascade_by_hand(outputs, run, names, 0.8) for run in runs)
    assert row["reached"]["mean"] == pytest.approx((first + second) / 2, abs=0.11)  # one image is 0.2
    student, teacher = files[False, names[0]], files[True, names[1]]
    assert row["latency"][0]["p50"] == pytest.approx(student["latency"][0]["p50"] + share * seconds[names[1]], rel=0.02)
    assert row["size_bytes"] == student["size_bytes"] + teacher["size_bytes"]
    assert row["flops"] == pytest.approx(student["flops"] + share * teacher["flops"], rel=0.05)
    assert f"defers {100 * share:.1f} % of test (threshold" in re.sub(r"\s+", " ", printed)
    assert (tmp_path / "plots" / "comparison-cascade.svg").is_file()
    assert 'id="comparison-cascade"' in (tmp_path / "index.html").read_text()


def failing(monkeypatch, capsys, *arguments):
    code = compared(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error.strip()


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("requests_per_second=0", "requests_per_second must be a number, above 0; got 0."),
        (
            "requests_per_sec=9",
            "requests_per_sec=9: requests_per_sec is not a setting of a comparison. Did you",
        ),
        (
            "epochs=9",
            "epochs=9: epochs is not a setting of a comparison. Settings: requests_per_second,",
        ),
        ("cascade=99", "cascade must be a share of samples above 0 and at most 1, or several in brackets; got 99."),
        ("max_drop=few", "max_drop must be a number, 0 or more, 100 or less; got 'few'."),
        (
            "export.opsett=7",
            "export.opsett=7: export.opsett is not a setting with export=onnx.",
        ),
        ("--wandb=team/", "--wandb takes [ENTITY/]PROJECT"),
        ("nowhere", "nowhere holds no finished network."),
    ],
)
def test_wrong_arguments_are_one_message(argument, text, outputs, monkeypatch, capsys):
    code, error = failing(monkeypatch, capsys, outputs / "run-0", argument)
    assert (code, error.count("\n")) == (2, 0), error
    assert error.startswith(f"error: {text}")


def test_a_run_that_is_not_finished_is_refused(outputs, monkeypatch, tmp_path, capsys):
    shutil.copytree(outputs, tmp_path / "copy", symlinks=True)
    (tmp_path / "copy" / "run-0" / "student" / "result.json").unlink()
    code, error = failing(monkeypatch, capsys, tmp_path / "copy" / "run-0")
    assert (code, error.count("\n"), "run-0 is not finished" in error) == (2, 0, True)


def test_only_settings_are_refused(monkeypatch, capsys):
    assert failing(monkeypatch, capsys, "max_drop=2") == (
        2,
        "error: RUN is missing: name at least one run directory, such as outputs/response-1a2b3c4d.",
    )


def test_a_folder_with_an_equals_sign_is_a_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed=1").mkdir()
    given = ["seed=1", "export=openvino", "export.opset=21", "utilisation=0.5"]
    assert split(given) == (["seed=1"], ["export=openvino", "export.opset=21"], {"utilisation": 0.5})

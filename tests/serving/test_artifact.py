"""From a run to the file that is served."""

import json
import os

import pytest

from kdlab.errors import BadInput
from kdlab.serving.artifact import find_artifact
from tests.serving.tiny import write_export


def found(path, name=None, engine=None):
    return find_artifact(str(path), name, engine, "serve.artifact")


def test_it_is_the_recommended_one_unless_another_is_named(tmp_path):
    folder = write_export(tmp_path / "export-1", teachers=["big"])
    artifact = found(folder)
    assert (artifact.name, artifact.engine, artifact.network) == ("tiny.onnx", "onnxruntime", "tiny")
    assert artifact.version == artifact.sha256["tiny.onnx"][:12]
    assert (artifact.teachers, artifact.stage_folder) == (["stage of big"], None)
    assert found(folder, "tiny-int8.onnx").name == found(folder / "tiny-int8.onnx").name == "tiny-int8.onnx"


def test_of_a_run_the_newest_export_of_that_stage_is_taken(tmp_path):
    """The student and a teacher of one run are exported into the same directory."""
    stages = {}
    for name in ("student", "teacher"):
        stages[name] = tmp_path / "store" / f"stage of {name}"
        stages[name].mkdir(parents=True)
        (stages[name] / "student.safetensors").touch()
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).symlink_to(stages[name])
    for at, network in enumerate(("student", "student", "teacher")):
        folder = write_export(tmp_path / "run" / f"export-{at}", network)
        os.utime(folder / "result.json", (at, at))
    assert found(tmp_path / "run").file.parent.name == "export-1"
    assert found(tmp_path / "run" / "teacher").file.parent.name == "export-2"


def test_a_refused_artifact_is_refused_with_the_reason_and_the_others(tmp_path):
    folder = write_export(tmp_path / "export-1", refused=["tiny-int8.onnx"])
    message = r"tiny-int8\.onnx is refused by its export: it predicts .* on 12\.00 % .*: serve\.artifact=tiny\.onnx$"
    with pytest.raises(BadInput, match=message):
        found(folder, "tiny-int8.onnx")
    (folder / "refused").mkdir()
    (folder / "tiny-int8.onnx").rename(folder / "refused" / "tiny-int8.onnx")
    with pytest.raises(BadInput, match=message):
        found(folder / "refused" / "tiny-int8.onnx")


def changed(folder, **fields):
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "name", "engine", "message"),
    [
        ({"recommended": None}, None, None, r"recommends no artifact: nothing was measured, .*=tiny\.onnx,"),
        ({"recommended": None, "budgets": {"x": ["y"]}}, None, None, r"recommends no artifact: none meets its budgets"),
        ({"recommended": {"artifact": "x", "engine": "executorch"}}, None, None, r"in executorch, which is not served"),
        ({}, "tiny.pt2", None, r"serve\.artifact: tiny\.pt2 is not an artifact that can be served\. Choose one"),
        ({}, "tiny.onnx", "openvino", r"serve\.engine=openvino: tiny\.onnx was not proved in it\. .*: onnxruntime$"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_says_what_can(tmp_path, fields, name, engine, message):
    folder = write_export(tmp_path / "export-1")
    changed(folder, **fields)
    with pytest.raises(BadInput, match=message):
        found(folder, name, engine)


def test_a_file_that_is_not_the_one_that_was_proved_is_refused(tmp_path):
    folder = write_export(tmp_path / "export-1")
    with (folder / "tiny.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BadInput, match=r"tiny\.onnx is not the file that was proved: its SHA-256 differs"):
        found(folder)
    (folder / "tiny.onnx").unlink()
    with pytest.raises(BadInput, match=r"tiny\.onnx is missing"):
        found(folder)


def test_a_run_that_was_not_exported_says_how(tmp_path):
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "student.safetensors").touch()
    with pytest.raises(BadInput, match=rf"has no export to serve\. Make one: python -m kdlab\.export {tmp_path}$"):
        found(tmp_path)
    with pytest.raises(BadInput, match="holds no finished network"):
        found(tmp_path / "nothing")


def test_an_engine_that_is_absent_names_its_extra(tmp_path, monkeypatch):
    folder = write_export(tmp_path / "export-1")
    monkeypatch.setattr("kdlab.serving.artifact.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"runs in onnxruntime, which is not installed: pip install 'kdlab\[serve\]'"):
        found(folder)

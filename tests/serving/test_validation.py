"""The threshold of a cascade is learned on the validation set, which is no test, and only once."""

import os

import numpy as np
import pytest
import yaml

from kdlab.errors import BadInput
from kdlab.serving.artifact import find_artifact
from kdlab.serving.cascade import Point, confidence
from kdlab.serving.learning import Learned, learned_elsewhere, learned_on_validation
from kdlab.serving.validation import predictions
from tests.serving.tiny import images, reference, write_export

HARD, OTHER = 40.0, (1, 2, 0)


def stored_export(outputs, network, **options):
    """The export of a stage, its files in the store and linked as `kdlab.export` does."""
    folder = write_export(outputs / "run" / f"export-{network}", network, **options)
    kept = outputs / "store" / f"artifact of {network}"
    kept.mkdir()
    for file in folder.glob("*.onnx"):
        file.rename(kept / file.name)
        file.symlink_to(os.path.relpath(kept / file.name, folder))
    return find_artifact(str(folder), None, None, "serve.artifact")


def run_with(outputs, val_fraction):
    """A finished run on 80 images of three colours, of which a share is held out."""
    labels = np.arange(80) % 3
    arrays = {
        "train_images": images(80),
        "train_labels": labels,
        "test_images": images(20, 1),
        "test_labels": labels[:20],
    }
    np.savez(outputs / "data.npz", **arrays)
    stage = outputs / "store" / "stage of student"
    stage.mkdir(parents=True)
    data = {"_target_": "kdlab.data.NpzImages", "file": str(outputs / "data.npz"), "val_fraction": val_fraction}
    (stage / "config.yaml").write_text(yaml.safe_dump({"fingerprint": stage.name, "data": data}))
    (stage / "result.json").write_text("{}")
    (stage / "student.safetensors").touch()
    student = stored_export(outputs, "student", hardness=HARD, teachers=["teacher"])
    return student, stored_export(outputs, "teacher", order=OTHER), arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_with(tmp_path_factory.mktemp("validation"), 0.5)


def test_both_artifacts_see_the_held_out_images_in_one_order(run):
    student, teacher, arrays = run
    ours, labels = predictions(student, student.stage_folder, "val")
    theirs, same = predictions(teacher, student.stage_folder, "val")
    assert len(ours) == 40 and (labels == same).all()
    every = reference(arrays["train_images"], HARD)
    found = [np.isclose(every, one, rtol=1e-4).all(1).nonzero()[0][0] for one in ours]
    assert len(set(found)) == 40
    assert (arrays["train_labels"][found] == labels).all()
    np.testing.assert_allclose(theirs, reference(arrays["train_images"][found], order=OTHER), rtol=1e-5)


def test_a_threshold_reaches_its_target_on_them(run):
    student, teacher, _ = run
    found = learned_on_validation(student, teacher, 0.8)
    point = found.point
    (ours, targets), (theirs, _) = (predictions(one, student.stage_folder, "val") for one in (student, teacher))
    deferred = confidence(ours) < np.float32(point.threshold)
    labels = np.where(deferred, theirs.argmax(1), ours.argmax(1))
    assert point.deferred == deferred.mean() < 1
    assert found.student_accuracy == (ours.argmax(1) == targets).mean()
    assert point.agreement == (labels == theirs.argmax(1)).mean() >= 0.8


def test_what_was_predicted_on_test_is_kept_in_the_store(run, monkeypatch):
    student, _, arrays = run
    logits, labels = predictions(student, student.stage_folder, "test")
    np.testing.assert_allclose(logits, reference(arrays["test_images"], HARD), rtol=1e-5)
    assert (labels == arrays["test_labels"]).all()
    monkeypatch.setattr("kdlab.serving.validation.Model", None)
    np.testing.assert_array_equal(predictions(student, student.stage_folder, "test")[0], logits)


@pytest.mark.parametrize(("on_validation", "doubted"), [(0.99, True), (0.93, False), (0.80, False)])
def test_a_student_that_knows_the_validation_samples_is_doubted(run, on_validation, doubted):
    """The export says 91 % on test."""
    doubt = Learned(Point(0.5, 0.0, 0.99, 0.99), on_validation).doubt(run[0])
    assert bool(doubt) == doubted == ("right on 99.0 % of validation and 91.0 % of test" in doubt)


def test_without_validation_samples_or_a_store_the_user_must_set_the_threshold(tmp_path):
    student, teacher, _ = run_with(tmp_path, 0.0)
    with pytest.raises(BadInput, match=r"the run held none out\. Train with data\.val_fraction=0\.1, or set the thr"):
        learned_on_validation(student, teacher, 0.8)
    copied = find_artifact(str(write_export(tmp_path / "copied")), None, None, "serve.artifact")
    with pytest.raises(BadInput, match=r"copied without its store"):
        learned_elsewhere(copied, teacher, 0.8)  # in another process

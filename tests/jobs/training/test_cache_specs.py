"""The cache key of a teacher's outputs: everything that they depend on, and nothing of the student."""

import pytest

from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.models.stage_folder import WEIGHTS
from kdlab.store.versions import VERSIONS
from tests.small import tiny_plan


def folder_of(store, *overrides):
    """The cache folder of the teacher of a plan; the teacher's weights are the same for all overrides."""
    student = tiny_plan(*overrides).student
    ((teacher, _),) = student.teachers
    (store / stage_fingerprint(teacher)).mkdir(parents=True, exist_ok=True)
    (store / stage_fingerprint(teacher) / WEIGHTS).write_bytes(b"weights")
    (spec,) = cache_specs(student, store)
    return spec.folder


@pytest.mark.parametrize(
    ("component", "changes"),
    [
        ("models.resnet", True),
        ("data.digits", True),
        ("views", True),
        ("networks", True),
        ("teachers", True),
        ("cache", True),
        ("losses.response", False),
        ("methods.teacher_student", False),
        ("training", False),
        ("models.vgg", False),
    ],
)
def test_a_raised_version_changes_the_folder_of_affected_outputs_only(component, changes, tmp_path, monkeypatch):
    before = folder_of(tmp_path)
    assert folder_of(tmp_path) == before
    monkeypatch.setitem(VERSIONS, component, 2)
    assert (folder_of(tmp_path) != before) == changes

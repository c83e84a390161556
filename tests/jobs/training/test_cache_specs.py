"""Under which key a teacher's outputs are stored: what they depend on, and nothing of the student that asks."""

import pytest

from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.models.saved import WEIGHTS
from kdlab.store.versions import VERSIONS
from tests.small import tiny_plan


def folder_of(store, *overrides):
    """The teacher's weights are the same throughout, whatever its stage is called."""
    student = tiny_plan(*overrides).student
    ((teacher, _),) = student.teachers
    (store / stage_fingerprint(teacher)).mkdir(parents=True, exist_ok=True)
    (store / stage_fingerprint(teacher) / WEIGHTS).write_bytes(b"weights")
    (spec,) = cache_specs(student, store)
    return spec.folder


@pytest.mark.parametrize(
    ("component", "again"),
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
def test_a_raised_version_forgets_only_the_outputs_that_it_changes(component, again, tmp_path, monkeypatch):
    before = folder_of(tmp_path)
    assert folder_of(tmp_path) == before
    monkeypatch.setitem(VERSIONS, component, 2)
    assert (folder_of(tmp_path) != before) == again

import os
import threading

import pytest
import yaml

from kdlab.errors import BadInput
from kdlab.store.store import Store
from tests.small import tiny_plan


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_a_stage_is_finished_once_its_result_is_there(store):
    stage = tiny_plan().student
    with store.claimed(stage, print) as folder:
        (folder / "student.safetensors").touch()
        assert not store.finished(stage)
        (folder / "result.json").write_text('{"test/accuracy": 50.0}')
    assert store.finished(stage)
    assert store.result(stage) == {"test/accuracy": 50.0}
    assert folder.name == stage.fingerprint


def test_a_second_claim_waits_for_the_first_and_reports_its_owner(store):
    stage, owners, inside = tiny_plan().student, [], threading.Event()

    def second():
        with Store(store.root).claimed(stage, owners.append):
            inside.set()

    with store.claimed(stage, owners.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert not inside.wait(0.3)
    thread.join(timeout=10)
    assert inside.is_set()
    (owner,) = owners
    assert owner.startswith(f"process {os.getpid()} on ")


def test_what_a_killed_writer_left_is_removed_by_the_next_owner(store):
    stage = tiny_plan().student
    store.folder(stage).mkdir()
    (store.folder(stage) / ".last.ckpt.x1y2").touch()
    with store.claimed(stage, print) as folder:
        assert list(folder.iterdir()) == []


def test_the_config_of_a_stage_is_readable_and_names_its_teachers(store):
    plan = tiny_plan()
    store.folder(plan.student).mkdir()
    store.describe(plan.student, plan.student.settings)
    config = yaml.safe_load((store.folder(plan.student) / "config.yaml").read_text())
    assert config["fingerprint"] == plan.student.fingerprint
    assert config["teachers"] == [[plan.teacher.fingerprint, 1.0]]
    assert config["network"]["num_classes"] == 10
    assert config["loss"]["terms"]["response_kd"]["temperature"] == 4.0


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"paths\.store must be a folder that can be written"):
        Store(tmp_path / "file" / "store")

import errno
import os

import pytest

from kdlab.errors import BadInput, TrainingFailed
from kdlab.store.atomic import check_writable, write_atomically, write_text_atomically


def test_replaces_the_whole_content(tmp_path):
    path = tmp_path / "file"
    write_text_atomically(path, "first, and long")
    write_text_atomically(path, "second")
    assert path.read_text() == "second"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / "file"
    write_text_atomically(path, "old")

    def half(file):
        file.write(b"ne")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_explained(tmp_path):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingFailed, match=r"The disk is full: .*file could not be written.*continues from the last"):
        write_atomically(tmp_path / "file", full)


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        BadInput, match=r"paths\.outputs must be a folder that can be written, got .*file.*paths\.outputs=…"
    ):
        check_writable(tmp_path / "file" / "below", "paths.outputs")


def test_a_file_has_the_permissions_of_any_other_new_file(tmp_path):
    write_text_atomically(tmp_path / "atomic", "text")
    (tmp_path / "plain").write_text("text")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode

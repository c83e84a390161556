import errno
import mmap
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kdlab.teachers.cache import rows as rows_module
from kdlab.teachers.cache.rows import Rows
from tests.teachers.cache.writers import ADDRESSES, ROW_BYTES, content, opened

SMALL = np.array([3, 0, 4, 1, 2])  # the third row is that of address 4


def assert_right(rows, addresses):
    """Checks that what is found is what was written; returns which rows were found."""
    read, found = rows.read(addresses)
    np.testing.assert_array_equal(read, np.where(found[:, None], content(addresses), 0))
    return found.tolist()


def filled(folder, addresses=SMALL):
    rows = opened(folder)
    assert rows.write(addresses, content(addresses))
    assert rows.reason is None
    return rows


def writer(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.teachers.cache.writers", *map(str, arguments)], text=True, stdout=-1
    )


def test_every_reader_sees_what_any_writer_wrote_first(tmp_path):
    draw, model = np.random.default_rng(0), {}
    several = [Rows(tmp_path, row_bytes=7, max_bytes=10**9) for _ in range(3)]
    for step in range(300):
        addresses = draw.choice(500, draw.integers(0, 9), replace=False)
        new = draw.integers(0, 256, (len(addresses), 7), dtype=np.uint8)
        assert several[step % 3].write(addresses, new)
        model = dict(zip(addresses.tolist(), new, strict=True)) | model
        requested = draw.integers(0, 600, 20)
        read, found = several[draw.integers(3)].read(requested)
        assert found.tolist() == [address in model for address in requested.tolist()]
        np.testing.assert_array_equal(read, [model.get(address, np.zeros(7)) for address in requested.tolist()])
        assert several[draw.integers(3)].missing(requested).tolist() == (~found).tolist()
    assert {rows.stored for rows in several} == {len(model)}
    assert {rows.bytes for rows in several} == {sum(file.stat().st_size for file in tmp_path.glob("*.bin"))}
    for rows in several:
        rows.close()


def test_read_rows_do_not_share_memory_with_the_files(tmp_path):
    rows = filled(tmp_path)
    rows.read(SMALL)[0][:] = 0
    assert all(assert_right(rows, SMALL))


def test_processes_that_write_the_same_addresses_at_once_keep_each_once(tmp_path):
    processes, rows = [writer(tmp_path, seed) for seed in (1, 2)], opened(tmp_path)
    everything = np.arange(ADDRESSES)
    while any(process.poll() is None for process in processes):
        assert_right(rows, everything)
    assert [process.wait() for process in processes] == [0, 0]
    drawn = [np.random.default_rng(seed) for seed in (1, 2)]
    written = {int(one) for draw in drawn for _ in range(100) for one in draw.choice(ADDRESSES, 8, replace=False)}
    assert assert_right(rows, everything) == [address in written for address in range(ADDRESSES)]
    assert rows.stored == len(written)


def test_a_writer_killed_at_any_moment_leaves_only_right_rows_and_the_next_one_continues(tmp_path):
    output, _ = writer(tmp_path).communicate(timeout=60)
    assert int(output) == 7  # one call for the rows, one for each slot; then there is no further call to be killed in
    rows, everything = opened(tmp_path), np.arange(80)
    found = np.array(assert_right(rows, everything)).reshape(8, 10)
    assert found.sum(axis=1).tolist() == [0, 0, 1, 2, 3, 4, 5, 5]
    assert rows.write(everything, content(everything))
    assert all(assert_right(rows, everything))


@pytest.mark.parametrize(("file", "size"), [("rows.bin", ROW_BYTES + 4), ("slots.bin", 4)])
def test_one_damaged_byte_loses_one_row_until_it_is_written_again(tmp_path, file, size):
    rows, whole = filled(tmp_path), (tmp_path / file).read_bytes()
    order = SMALL if file == "rows.bin" else np.sort(SMALL)
    for offset in range(len(whole)):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        (tmp_path / file).write_bytes(damaged)
        assert [address for address, found in zip(order, assert_right(rows, order), strict=True) if not found] == [
            order[offset // size]
        ]
    assert rows.write(SMALL, content(SMALL))
    assert all(assert_right(rows, SMALL))


@pytest.mark.parametrize(("file", "size"), [("rows.bin", ROW_BYTES + 4), ("slots.bin", 4)])
def test_a_file_cut_anywhere_loses_the_rows_behind_until_it_is_written_again(tmp_path, file, size):
    rows, whole = filled(tmp_path), (tmp_path / file).read_bytes()
    order = SMALL if file == "rows.bin" else np.sort(SMALL)
    for length in range(len(whole), -1, -1):
        os.truncate(tmp_path / file, length)
        for reader in (rows, opened(tmp_path)):
            assert assert_right(reader, order) == [row < length // size for row in range(5)]
            assert reader.missing(order).tolist() == [row >= length // size for row in range(5)]
    assert rows.write(SMALL, content(SMALL))
    assert all(assert_right(rows, SMALL))


def test_the_row_of_another_address_is_missing(tmp_path):
    rows, same = opened(tmp_path), np.zeros((5, ROW_BYTES), np.uint8)
    assert rows.write(np.arange(5), same)
    (tmp_path / "slots.bin").write_bytes(np.array([2, 1, 3, 4, 4], "<u4").tobytes())
    assert rows.read(np.arange(5))[1].tolist() == [False, False, True, True, False]


def test_rows_that_never_reached_the_disk_are_missing(tmp_path):
    rows = filled(tmp_path)
    (tmp_path / "rows.bin").write_bytes(bytes((tmp_path / "rows.bin").stat().st_size))
    assert not any(assert_right(rows, SMALL))
    assert not rows.missing(SMALL).any()


def test_several_writers_stay_within_the_limit_and_the_reason_names_how_to_raise_it(tmp_path):
    several = [Rows(tmp_path, row_bytes=ROW_BYTES, max_bytes=2000) for _ in range(2)]
    batches, kept = np.arange(400).reshape(-1, 4), []
    for step, batch in enumerate(batches):
        kept.append(several[step % 2].write(batch, content(batch)))
        assert sum(file.stat().st_size for file in tmp_path.glob("*.bin")) <= 2000
    assert kept == [True] * 10 + [False] * 90  # 40 rows of 44 bytes and their slots; 4 more rows exceed the limit
    assert all(assert_right(several[0], batches[:10].ravel()))
    for rows in several:
        assert rows.reason == (
            f"{tmp_path} is full: 40 rows take 1.92e-06 GB, at most 2e-06 GB are allowed. Allow more: cache.max_gb=…; "
            "or store less of each sample: cache.dtype=float16, cache.top_k=…"
        )


def test_addresses_without_a_row_take_no_space(tmp_path):
    rows, far = Rows(tmp_path, row_bytes=ROW_BYTES, max_bytes=2**20), np.array([10**8])
    assert rows.write(far, content(far))
    assert (tmp_path / "slots.bin").stat().st_size == 4 * (10**8 + 1)
    assert rows.bytes < 2**20
    assert assert_right(rows, np.array([10**8, 10**8 - 1])) == [True, False]


def test_more_rows_than_slots_can_index_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "MOST_ROWS", 7)
    rows = filled(tmp_path)
    assert not rows.write(np.arange(5, 8), content(np.arange(5, 8)))
    assert rows.reason == (
        f"{tmp_path} is full: it can index at most 7 rows, and holds 5. Choose another folder: paths.store=…"
    )
    assert all(assert_right(rows, SMALL))


@pytest.mark.parametrize("calls", range(3))
def test_a_disk_that_fills_up_half_way_leaves_the_rest_good(tmp_path, monkeypatch, calls):
    rows, pwrite, left = filled(tmp_path), os.pwrite, iter(range(calls))

    def full(file, data, offset):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, data[: len(data) // 2 + 1], offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert not rows.write(np.arange(5, 8), content(np.arange(5, 8)))
    monkeypatch.undo()
    assert rows.reason == (
        f"The disk is full: {tmp_path} could not be written. Free disk space, or move it: paths.store=…"
    )
    assert not rows.write(np.arange(5, 8), content(np.arange(5, 8)))
    assert assert_right(opened(tmp_path), np.arange(8))[:5] == [True] * 5
    assert opened(tmp_path).write(np.arange(8), content(np.arange(8)))
    assert all(assert_right(rows, np.arange(8)))


def test_leaves_the_last_percent_of_a_disk_free(tmp_path, monkeypatch):
    rows, usage, blocks = filled(tmp_path), os.statvfs(tmp_path), 1000
    reported = SimpleNamespace(f_frsize=usage.f_frsize, f_blocks=blocks, f_bavail=blocks // 100)
    monkeypatch.setattr(os, "statvfs", lambda folder: reported)
    assert not rows.write(np.array([5]), content(np.array([5])))
    assert rows.reason == (
        f"The disk is nearly full: {tmp_path} leaves the last {10 * usage.f_frsize / 1e9:.3g} GB free. "
        "Free disk space, or move it: paths.store=…"
    )
    assert all(assert_right(rows, SMALL))
    for reported.f_blocks, reported.f_bavail in [(blocks, blocks // 100 + 1), (0, 0)]:
        assert filled(tmp_path, np.array([reported.f_bavail + 10]))


def test_on_a_small_disk_all_that_fits_is_kept(small_disk, monkeypatch):
    monkeypatch.setattr(rows_module, "SPARE_BYTES", -(2**20))
    rows, batches = opened(small_disk), np.arange(16000).reshape(-1, 16)
    kept = next(count for count, batch in enumerate(batches) if not rows.write(batch, content(batch)))
    assert rows.reason.startswith("The disk is full")
    assert kept * 16 * (ROW_BYTES + 4 + 4) > 250_000
    assert all(assert_right(rows, batches[:kept].ravel()))
    rows.close()
    subprocess.run(["mount", "-o", "remount,ro,size=400k", str(small_disk)], check=True)
    reader = opened(small_disk)
    assert all(assert_right(reader, batches[:kept].ravel()))
    assert not reader.write(batches[kept], content(batches[kept]))
    assert reader.reason == (
        f"{small_disk} could not be written (Read-only file system). Choose a folder that can be: paths.store=…"
    )
    reader.close()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert opened(small_disk).write(batches[kept], content(batches[kept]))


@pytest.mark.parametrize(("module", "call"), [(os, "pread"), (os, "fstat"), (mmap, "mmap")])
def test_rows_that_cannot_be_read_are_missing(tmp_path, monkeypatch, module, call):
    filled(tmp_path)
    rows = opened(tmp_path)

    def fails(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, call, fails)
    assert not any(assert_right(rows, SMALL))
    monkeypatch.undo()
    assert all(assert_right(rows, SMALL))


def test_a_read_that_ends_early_gives_no_wrong_rows(tmp_path, monkeypatch):
    rows, pread = filled(tmp_path), os.pread
    monkeypatch.setattr(os, "pread", lambda file, length, offset: pread(file, length, offset)[:100])
    assert assert_right(rows, SMALL) == [True, True, False, False, False]
    assert_right(rows, SMALL[::-1])


def test_a_folder_that_cannot_be_created_has_no_rows(tmp_path):
    (tmp_path / "file").touch()
    rows = opened(tmp_path / "file" / "below")
    assert not any(assert_right(rows, SMALL))
    assert rows.missing(SMALL).all()
    assert not rows.write(SMALL, content(SMALL))
    assert "below could not be written (Not a directory)" in rows.reason
    assert (rows.stored, rows.bytes) == (0, 0)


def test_invalid_addresses_and_rows_are_refused(tmp_path):
    rows = opened(tmp_path)
    with pytest.raises(ValueError, match="addresses must be at least 0, got -1"):
        rows.read(np.array([2, -1]))
    with pytest.raises(ValueError, match=r"rows must be uint8 of the shape \(1, 40\), got uint8 \(1, 39\)"):
        rows.write(np.array([2]), np.zeros((1, 39), np.uint8))

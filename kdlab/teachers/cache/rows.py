"""Rows of one size on disk, looked up by an integer address, shared by any number of processes."""

import errno
import mmap
import os
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

CHECKSUM = np.dtype("<u4")
SLOT = np.dtype("<u4")
MOST_ROWS = 2**32 - 1
LOCK_SECONDS = 60.0
RESIDENT_BYTES = 32 * 2**20
SPARE_BYTES = 10**9  # left free on the disk, or 1 % of it where that is less: checkpoints need space, too
FAULT_BYTES = 64 * 2**10  # what one look-up can map: a page fault also maps neighbouring pages


class Rows:
    """A folder with `rows.bin`, rows and their checksums in the order of writing, and `slots.bin`, an index.

    The slot of an address is a number in `slots.bin`, 0 where there is none yet. Both files only grow: rows are
    appended under a file lock, then their slots are set; reading takes no lock.

    A row is valid only if its checksum matches the row *and* its address. One that a killed process wrote in part, that
    was lost in a power failure, that is not yet visible over a network file system, or that belongs to another address
    therefore counts as missing and is computed again; of damaged rows, one in 2^32 passes the check. Crash safety needs
    nothing else: there is no fsync, and files may be damaged or truncated anywhere.

    Disk errors do not raise: `reason` states why a row was not stored, and this object then stores no more.

    Args:
        folder: created if absent; all its rows have the same size. One that is not writable is only read.
        row_bytes: of one row, at least 1.
        max_bytes: upper bound of both files; see `bytes`. The last 1 % of a disk, up to 1 GB, is left free.

    Attributes:
        reason: why no more rows are stored, with how to fix it; None while they are.
    """

    def __init__(self, folder: Path, *, row_bytes: int, max_bytes: int) -> None:
        self.folder, self.row_bytes, self.max_bytes = folder, row_bytes, max_bytes
        self.reason: str | None = None
        self._record = row_bytes + CHECKSUM.itemsize
        self._lock = FileLock(folder / "rows.lock")
        self._rows, self._slots = (self._open(folder / name) for name in ("rows.bin", "slots.bin"))
        self._map: mmap.mmap | None = None
        self._table: NDArray[np.uint32] = np.empty(0, SLOT)
        self._touched = 0

    @property
    def stored(self) -> int:
        """Rows on disk, with those that are damaged or were written twice."""
        return _size(self._rows) // self._record

    @property
    def bytes(self) -> int:
        """Size of the files, without the holes of `slots.bin` for addresses that were never written."""
        return _size(self._rows) + self._occupied()

    def read(self, addresses: IntArray) -> tuple[ByteArray, BoolArray]:
        """The rows of some addresses, as they are on disk now, whichever process wrote them.

        Args:
            addresses: `(n,)`, each at least 0; in any order, also repeated.

        Returns:
            The rows, `(n, row_bytes)` uint8 in newly allocated memory, zeros where one is missing; and which were
            found, `(n,)`.
        """
        slots = self._lookup(addresses)
        found = slots >= 0
        records = self._records(slots[found])
        intact = self._checksums(records, addresses[found]) == records[:, self.row_bytes :].copy().view(CHECKSUM)[:, 0]
        found[found] = intact
        rows = np.zeros((len(slots), self.row_bytes), np.uint8)
        rows[found] = records[intact, : self.row_bytes]
        return rows, found

    def missing(self, addresses: IntArray) -> BoolArray:
        """Which addresses have no row, `(n,)`: by their slots alone, so a damaged row counts as written."""
        return self._lookup(addresses) < 0

    def write(self, addresses: IntArray, rows: ByteArray) -> bool:
        """Stores rows. An address that already has an intact row keeps it.

        Args:
            addresses: `(n,)`, each at least 0.
            rows: `(n, row_bytes)`, uint8.

        Returns:
            Whether all are on disk; False with a `reason`. Rows stored before stay valid.

        Raises:
            ValueError: an address is negative, or these are not rows of this size.
        """
        if rows.dtype != np.uint8 or rows.shape != (len(addresses), self.row_bytes):
            raise ValueError(
                f"rows must be uint8 of the shape {(len(addresses), self.row_bytes)}, got {rows.dtype} {rows.shape}"
            )
        if self.reason is not None:
            return False
        try:
            with self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.002):
                _, found = self.read(addresses)
                if not found.all():
                    self._append(addresses[~found], rows[~found])
        except OSError as error:
            self.reason = self._error_reason(error)
        return self.reason is None

    def close(self) -> None:
        """Closes the files."""
        self._map, self._table = None, np.empty(0, SLOT)
        os.close(self._rows)
        os.close(self._slots)

    def _open(self, path: Path) -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            self.reason = self._error_reason(error)
            return os.open(path if os.access(path, os.R_OK) else os.devnull, os.O_RDONLY)

    def _append(self, addresses: IntArray, rows: ByteArray) -> None:
        """Writes rows, then their slots. The part of a row that a killed writer may have left is overwritten."""
        first = os.fstat(self._rows).st_size // self._record
        self.reason = self._limit_reason(first + len(rows), addresses) or self._space_reason(len(rows))
        if self.reason is not None:
            return
        checksums = self._checksums(rows, addresses)[:, None].view(np.uint8)
        _write(self._rows, np.hstack([rows, checksums]).tobytes(), first * self._record)
        for slot, address in enumerate(addresses.tolist(), first + 1):
            _write(self._slots, slot.to_bytes(SLOT.itemsize, "little"), address * SLOT.itemsize)

    def _limit_reason(self, rows: int, addresses: IntArray) -> str | None:
        """Why that many rows exceed a limit, or None; every address may take up another block of `slots.bin`."""
        if rows > MOST_ROWS:
            return (
                f"{self.folder} is full: it can index at most {MOST_ROWS} rows, and holds {self.stored}. "
                "Choose another folder: paths.store=…"
            )
        status = os.fstat(self._slots)
        extent = max(status.st_size, (int(addresses.max()) + 1) * SLOT.itemsize)
        slots = min(extent, self._occupied() + len(addresses) * status.st_blksize)
        if rows * self._record + slots <= self.max_bytes:
            return None
        return (
            f"{self.folder} is full: {self.stored} rows take {self.bytes / 1e9:.3g} GB, at most "
            f"{self.max_bytes / 1e9:.3g} GB are allowed. Allow more: cache.max_gb=…; or store less of each sample: "
            "cache.dtype=float16, cache.top_k=…"
        )

    def _space_reason(self, rows: int) -> str | None:
        """Why that many more rows leave too little disk space, or None; some file systems report no sizes."""
        disk = os.statvfs(self.folder)
        free, spare = disk.f_bavail * disk.f_frsize, min(SPARE_BYTES, disk.f_blocks * disk.f_frsize // 100)
        if not disk.f_blocks or free - rows * self._record >= spare:
            return None
        return (
            f"The disk is nearly full: {self.folder} leaves the last {spare / 1e9:.3g} GB free. Free disk space, "
            "or move it: paths.store=…"
        )

    def _error_reason(self, error: OSError) -> str:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full: {self.folder} could not be written. Free disk space, or move it: paths.store=…"
        cause = error.strerror or error
        return f"{self.folder} could not be written ({cause}). Choose a folder that can be: paths.store=…"

    def _occupied(self) -> int:
        status = os.fstat(self._slots)
        return min(status.st_size, status.st_blocks * 512)

    def _lookup(self, addresses: IntArray) -> IntArray:
        """The slot of each address, `(n,)`; -1 where it has none, or one beyond the end of the rows."""
        if addresses.min(initial=0) < 0:
            raise ValueError(f"addresses must be at least 0, got {addresses.min()}")
        self._map_all()
        slots = np.full(len(addresses), -1, np.int64)
        inside = addresses < len(self._table)
        slots[inside] = self._table[addresses[inside]].astype(np.int64) - 1
        slots[slots >= self.stored] = -1
        self._release(len(addresses))
        return slots

    def _map_all(self) -> None:
        """Maps `slots.bin` at its current size; not if it is empty, or the file system does not support mmap."""
        slots = _size(self._slots) // SLOT.itemsize
        if slots == len(self._table):
            return
        try:
            self._map = mmap.mmap(self._slots, slots * SLOT.itemsize, access=mmap.ACCESS_READ) if slots else None
        except (OSError, ValueError):
            self._map = None
        self._table = np.frombuffer(self._map or b"", SLOT)

    def _release(self, lookups: int) -> None:
        """Releases mapped pages now and then: they count as this process's memory."""
        self._touched += lookups * FAULT_BYTES
        if self._map and min(self._touched, len(self._map)) > RESIDENT_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    def _records(self, slots: IntArray) -> ByteArray:
        """Rows with their checksums, `(n, row_bytes + 4)`; neighbours on disk are read in one call.

        Zeros replace what cannot be read; their checksum does not match, nor that of rows after a partial read.
        """
        edges = [0, *(np.flatnonzero(np.diff(slots) != 1) + 1).tolist(), len(slots)]
        file, size, starts = self._rows, self._record, (slots * self._record).tolist()
        try:
            content = b"".join([os.pread(file, (b - a) * size, starts[a]) for a, b in pairwise(edges) if b > a])
        except OSError:
            content = b""
        return np.frombuffer(content.ljust(len(slots) * size, b"\0"), np.uint8).reshape(-1, size)

    def _checksums(self, rows: ByteArray, addresses: IntArray) -> NDArray[np.uint32]:
        """`(n,)`, over the first `row_bytes` of each row, and its address."""
        content, starts = rows.reshape(-1).data, range(0, rows.size, rows.shape[1])
        pairs = zip(starts, addresses.tolist(), strict=True)
        return np.array([zlib.crc32(content[i : i + self.row_bytes], seed & 0xFFFFFFFF) for i, seed in pairs], CHECKSUM)


def _size(file: int) -> int:
    """Size in bytes; 0 for a file that a network file system has lost."""
    try:
        return os.fstat(file).st_size
    except OSError:
        return 0


def _write(file: int, content: bytes, offset: int) -> None:
    """Writes by system call: through a memory mapping, a full disk would kill the process.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    rest = memoryview(content)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written

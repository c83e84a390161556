"""Rows of one size on disk, each found by an integer address, shared by any number of processes."""

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
SPARE_BYTES = 10**9  # of the disk, or a hundredth of it where that is less: checkpoints need room, too
FAULT_BYTES = 64 * 2**10  # what one look-up can map: a page fault brings its neighbours along


class Rows:
    """A folder with `rows.bin`, rows and their checksums in the order they came, and `slots.bin`, where each is.

    The slot of an address is a number in `slots.bin`, 0 where there is none yet. Both files only grow: rows are
    appended under a file lock and then pointed at; reading takes no lock.

    A row is believed only if its checksum fits it *and* its address. One that was half written by a process that was
    killed, never reached the disk before the power went, is seen too early over a network file system, or belongs to
    another address, is therefore a row that is missing, to be computed again; of damaged rows, one in 2^32 passes.
    That is the whole of crash safety: nothing is forced to the disk, and files may be damaged or cut at will.

    Nothing about a disk raises. What could not be kept is told by `reason`, and then this object keeps no more.

    Args:
        folder: made where it is absent; all its rows have the same size. One that cannot be written is only read.
        row_bytes: of one row, at least 1.
        max_bytes: both files stay within it; see `bytes`. The last of a disk, up to 1 GB, is left to others.

    Attributes:
        reason: why no more rows are kept, in a sentence with its way out; None while they are.
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
        """What the files take up: `slots.bin` without its holes, for addresses that nobody wrote."""
        return _size(self._rows) + self._occupied()

    def read(self, addresses: IntArray) -> tuple[ByteArray, BoolArray]:
        """The rows of some addresses, as they are on disk now, whoever wrote them.

        Args:
            addresses: `(n,)`, each at least 0; in any order, also repeated.

        Returns:
            The rows, `(n, row_bytes)` uint8 in memory of their own, zeros where one is missing; and which were found,
            `(n,)`.
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
        """Which addresses nobody wrote, `(n,)`: by their slots alone, so a damaged row counts as written."""
        return self._lookup(addresses) < 0

    def write(self, addresses: IntArray, rows: ByteArray) -> bool:
        """Keep rows for everybody. Of an address that has an intact row already, that one stays.

        Args:
            addresses: `(n,)`, each at least 0.
            rows: `(n, row_bytes)`, uint8.

        Returns:
            Whether all are on disk; False with a `reason`. Rows from before are as good as they were.

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
            self.reason = self._explained(error)
        return self.reason is None

    def close(self) -> None:
        """Let go of the files."""
        self._map, self._table = None, np.empty(0, SLOT)
        os.close(self._rows)
        os.close(self._slots)

    def _open(self, path: Path) -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            self.reason = self._explained(error)
            return os.open(path if os.access(path, os.R_OK) else os.devnull, os.O_RDONLY)

    def _append(self, addresses: IntArray, rows: ByteArray) -> None:
        """Rows first, then what points at them. The part of a row that a killed writer may have left is overwritten."""
        first = os.fstat(self._rows).st_size // self._record
        self.reason = self._refusal(first + len(rows), addresses) or self._crowding(len(rows))
        if self.reason is not None:
            return
        checksums = self._checksums(rows, addresses)[:, None].view(np.uint8)
        _write(self._rows, np.hstack([rows, checksums]).tobytes(), first * self._record)
        for slot, address in enumerate(addresses.tolist(), first + 1):
            _write(self._slots, slot.to_bytes(SLOT.itemsize, "little"), address * SLOT.itemsize)

    def _refusal(self, rows: int, addresses: IntArray) -> str | None:
        """Why there may not be that many rows; every address may take up another block of `slots.bin`."""
        if rows > MOST_ROWS:
            return (
                f"{self.folder} is full: at most {MOST_ROWS} rows can be told apart, and it holds {self.stored}. "
                "Choose another folder: paths.store=…"
            )
        status = os.fstat(self._slots)
        extent = max(status.st_size, (int(addresses.max()) + 1) * SLOT.itemsize)
        slots = min(extent, self._occupied() + len(addresses) * status.st_blksize)
        if rows * self._record + slots <= self.max_bytes:
            return None
        return (
            f"{self.folder} is full: {self.stored} rows take {self.bytes / 1e9:.3g} GB, at most "
            f"{self.max_bytes / 1e9:.3g} GB are allowed. Allow more: cache.max_gb=…; or keep less of each sample: "
            "cache.dtype=float16, cache.top_k=…"
        )

    def _crowding(self, rows: int) -> str | None:
        """Why that many more rows would leave too little of the disk to others; some file systems do not tell."""
        disk = os.statvfs(self.folder)
        free, spare = disk.f_bavail * disk.f_frsize, min(SPARE_BYTES, disk.f_blocks * disk.f_frsize // 100)
        if not disk.f_blocks or free - rows * self._record >= spare:
            return None
        return (
            f"The disk is nearly full: {self.folder} leaves the last {spare / 1e9:.3g} GB to others. Free disk space, "
            "or move it: paths.store=…"
        )

    def _explained(self, error: OSError) -> str:
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
        """Map `slots.bin` as long as it is now; not at all where it is empty, or on a file system without mappings."""
        slots = _size(self._slots) // SLOT.itemsize
        if slots == len(self._table):
            return
        try:
            self._map = mmap.mmap(self._slots, slots * SLOT.itemsize, access=mmap.ACCESS_READ) if slots else None
        except (OSError, ValueError):
            self._map = None
        self._table = np.frombuffer(self._map or b"", SLOT)

    def _release(self, lookups: int) -> None:
        """Hand mapped pages back now and then: they count as this process's memory."""
        self._touched += lookups * FAULT_BYTES
        if self._map and min(self._touched, len(self._map)) > RESIDENT_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0

    def _records(self, slots: IntArray) -> ByteArray:
        """Rows with their checksums, `(n, row_bytes + 4)`; neighbours on disk are read in one go.

        Zeros stand for what cannot be read. Their checksum does not fit, nor that of what comes after a part.
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
    """In bytes; 0 for a file that a network file system has lost."""
    try:
        return os.fstat(file).st_size
    except OSError:
        return 0


def _write(file: int, content: bytes, offset: int) -> None:
    """By call rather than through a mapping, where a full disk would kill the process.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    rest = memoryview(content)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written

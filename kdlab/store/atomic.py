"""Atomic writes: a file is complete or absent."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from kdlab.errors import BadInput, TrainingFailed


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a temporary file beside the target, forces it to the disk, and renames it to the target.

    Raises:
        TrainingFailed: the disk is full; the old file at `path` is unchanged and the temporary file is removed.
    """
    with _explained(path), tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            write(file)  # type: ignore[arg-type]
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)


def write_text_atomically(path: Path, text: str) -> None:
    """`write_atomically` for text in UTF-8."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """`write_atomically` for bytes."""
    write_atomically(path, lambda file: file.write(content))


def check_writable(folder: Path, setting: str) -> None:
    """Creates a folder and writes a file there as a test.

    Raises:
        BadInput: nothing can be written there.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"{setting} must be a folder that can be written, got {folder} ({error.strerror or error}). "
            f"Choose another one: {setting}=…"
        ) from error


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingFailed(
            f"The disk is full: {path} could not be written. Free some room, or point paths.outputs=… at another "
            "disk, and run the same command again: it continues from the last checkpoint."
        ) from error


def _umask() -> int:
    """The umask of ordinary new files: temporary files are private to their owner, and a store may be shared."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

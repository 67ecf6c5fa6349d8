"""Every operation that must survive a power cut, in one place.

Spool, journal and Maildir output write through a ``Disk`` that they are given, so that a test can
hand them one that fails, dies or forgets at any step. Reading and statistics do not come by here.

The rule behind all of it is that of POSIX fsync(2): data are durable after fsync(file), a name is
durable after fsync(directory). A failed fsync is final, because the kernel may drop the dirty
pages and answer the next fsync with success: whoever sees one gives the file up.

Limits: rename is taken to be atomic in a crash, as on ext4, xfs and btrfs; network file systems
are not supported.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from gateway.errors import Temporary

if TYPE_CHECKING:
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk:
    """The real disk. Files are plain descriptors; every method raises OSError."""

    def mkdir(self, path: Path) -> None:
        """Make a directory and its missing parents, names durable."""
        if path.is_dir():
            return
        self.mkdir(path.parent)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            return
        self.fsync_dir(path.parent)

    def create(self, path: Path) -> int:
        """Open a new file for writing; an existing one is an error, never reused."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def extend(self, path: Path) -> int:
        """Open an existing file for appending."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of it; after an error any part of it may have been written."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def fsync_dir(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


DISK = Disk()


def put_file(disk: Disk, temporary: Path, target: Path, data: bytes) -> None:
    """Make ``target`` hold ``data``: after return for good, after a crash either all or the old state."""
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(temporary)
    fd = disk.create(temporary)
    try:
        disk.write(fd, data)
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.replace(temporary, target)
    disk.fsync_dir(target.parent)


def refusal(error: OSError) -> Temporary:
    """What a peer is told when our disk fails (RFC 3463 §3.4: 4.3.1 mail system full)."""
    cause = f"{type(error).__name__}: {error}"
    if error.errno in FULL:
        return Temporary(452, "4.3.1", "Insufficient system storage", cause)
    return Temporary(451, "4.3.0", "Temporary local problem, please try again later", cause)

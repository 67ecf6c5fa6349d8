"""One gateway per state directory: flock(2) on its file ``lock``.

The kernel frees the lock when its holder dies, so a stale file needs no manual step. The process
id in the file is for the error message only.

Limits: flock does not reach over NFS to other machines; a state directory belongs on a local disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Self

from gateway.errors import AlreadyRunning, StateError

_TRIES, _PAUSE = 20, 0.05


class Lock:
    """Holds ``path`` from enter to exit; AlreadyRunning says who else does and what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def __enter__(self) -> Self:
        fd = _open(self.path)
        try:
            _lock(fd)
        except BlockingIOError:
            busy = _busy(self.path.parent, fd)
            os.close(fd)
            raise AlreadyRunning(busy) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    @property
    def descriptor(self) -> int:
        """For a child that shall hold the lock as long as it lives, too."""
        return self._fd

    def __exit__(self, *_: object) -> None:
        # The file stays: removing it would let two processes lock two files of one name.
        os.ftruncate(self._fd, 0)
        # Unlocked by name, not by close() alone: a child between fork and exec still has the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def held(path: Path) -> bool:
    """Whether somebody holds ``path`` now; nothing is made or written."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _lock(fd: int) -> None:
    """Raises BlockingIOError if somebody holds it; children of one that was killed are given time to notice."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open(path: Path) -> int:
    try:
        # Not inherited over exec (PEP 446), so a spawned parser process cannot keep the lock.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise StateError(
            f"{path.parent} does not exist; start the gateway once, or correct --state"
        ) from None
    except OSError as e:
        raise StateError(
            f"{path} cannot be opened ({e.strerror}); run as the user that owns {path.parent}"
        ) from e
    owner = path.parent.stat()
    if os.geteuid() == 0 and os.fstat(fd).st_uid != owner.st_uid:
        # Root looked in before the service's first start; the service must be able to lock too.
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def _busy(state: Path, fd: int) -> str:
    holder = os.pread(fd, 20, 0).strip().decode("ascii", "replace")
    who = f"process {holder}" if holder.isdigit() else "another process"
    return (
        f"{who} holds {state}; stop it first (systemctl stop mailwicket, or end that process),"
        " or choose another directory with --state"
    )

"""The way into the spool: writing a mail down so that it is safe to say 250.

Accepting is write, fsync, rename to in/, fsync of in/ (RFC 5321 §4.2.5: with the 250 we take the
responsibility). All of it is blocking and thread-safe: callers run ``commit`` in threads, and the
concurrent ones share the disk's flush. Several processes may write into one spool at once: names are
random enough. What waits there is known to one of them, the owner (edge/spool.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.edge.durable import DISK, FULL, Disk, refusal
from gateway.errors import StateError, Temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.core.model import Envelope

SpoolId = str
BUFFER = 128 * 1024  # mails up to this size touch the disk only in commit(), in one write
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_RANDOM_BITS = 80


class Ulids:
    """ULIDs that only grow within a process, also when the clock steps back."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock, self._lock, self._last = clock, threading.Lock(), 0

    def next(self) -> SpoolId:
        fresh = (self._clock() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            same_or_earlier = fresh >> _RANDOM_BITS <= self._last >> _RANDOM_BITS
            self._last = number = self._last + 1 if same_or_earlier else fresh
        return _in_digits(number)


def encoded(millis: int, rest: int) -> SpoolId:
    """The spool id of a time in Unix milliseconds and 80 more bits."""
    return _in_digits(millis << _RANDOM_BITS | rest)


def _in_digits(number: int) -> SpoolId:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def time_of(spool_id: SpoolId) -> datetime:
    """When the mail began to come in, from its name; StateError if that is no spool id.

    Also the guard that keeps a name with a slash in it away from the file system.
    """
    try:
        digits = [_VALUE[digit] for digit in spool_id]
        if len(digits) != 26 or digits[0] > 7:
            raise KeyError(spool_id)
        number = sum(digit << 5 * place for place, digit in enumerate(reversed(digits)))
        return datetime.fromtimestamp((number >> _RANDOM_BITS) / 1000, UTC)
    except (KeyError, ValueError, OverflowError):
        remedy = "give the 26 characters of a file name in spool/"
        raise StateError(f"{spool_id!r} is not a spool id: {remedy}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in in/; ``oldest`` is None when nothing does."""

    count: int
    bytes: int
    oldest: datetime | None


class Inlet:
    """The spool directory below ``root``, for those who only put mail into it.

    ``broken`` is set once an fsync failed for another reason than a full disk: from then on nothing
    is accepted, and the service shall end with exit code 75 so that a new process starts afresh.
    """

    def __init__(self, root: Path, disk: Disk = DISK) -> None:
        self.root, self.disk = root, disk
        self.broken: str | None = None
        self._tmp, self._in = root / "tmp", root / "in"
        for directory in (self._tmp, self._in):
            disk.mkdir(directory)
        self._ulids = Ulids()

    def arrived(self, mails: Sequence[tuple[SpoolId, int]]) -> None:
        """Called with the id and length of each mail that is durable, before anybody is told 250; by any thread."""
        raise NotImplementedError

    def backlog(self) -> Backlog:
        """What waits in in/."""
        raise NotImplementedError

    def begin(self, envelope: Envelope) -> SpoolWriter:
        """Start a mail; nothing is on disk before the writer's buffer overflows or ``commit``."""
        if self.broken:
            raise _refused(self.broken)
        return SpoolWriter(self, self._ulids.next(), msgspec.json.encode(envelope) + b"\n")

    def put(self, envelope: Envelope, raw: bytes) -> SpoolId:
        """Spool a whole mail; returns only when it is durable."""
        writer = self.begin(envelope)
        writer.write(raw)
        return writer.commit()

    def settle(self, writers: Sequence[SpoolWriter]) -> None:
        """Make the names of placed mails durable, all with one flush; Temporary if none of them is."""
        try:
            # What a failed flush has lost, the next one may call durable (see durable.py).
            if self.broken:
                raise _refused(self.broken)
            try:
                self.disk.fsync_dir(self._in)
            except OSError as error:
                self.broken = f"fsync {self._in}: {error}"
                raise refusal(error) from error
        except Temporary:
            # The names may or may not survive; the peers will send again, so rather not.
            for writer in writers:
                with contextlib.suppress(OSError):
                    self.disk.unlink(self._in / writer.spool_id)
            raise
        self.arrived([(writer.spool_id, writer.length) for writer in writers])

    def free(self) -> tuple[int, float]:
        """Bytes we may still write, and the share of inodes that is free."""
        stat = os.statvfs(self.root)
        # File systems without a fixed inode table (btrfs) report none at all.
        return stat.f_bavail * stat.f_frsize, stat.f_favail / stat.f_files if stat.f_files else 1.0


def _refused(why: str) -> Temporary:
    return Temporary(451, "4.3.0", "Temporary local problem, please try again later", why)


class SpoolWriter:
    """One mail on its way in. Ends with ``commit`` or ``abort``; an error aborts it by itself.

    ``write`` touches the disk only when BUFFER is full, so small mails never block an event loop.
    """

    def __init__(self, spool: Inlet, spool_id: SpoolId, line: bytes) -> None:
        self.spool_id = spool_id
        self.size = 0
        self._spool, self._disk = spool, spool.disk
        self._path = spool.root / "tmp" / spool_id
        self._buffer, self._overhead = bytearray(line), len(line)
        self._fd: int | None = None
        self._open = True

    @property
    def length(self) -> int:
        """Bytes of the file: the envelope's line and the raw mail."""
        return self.size + self._overhead

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self._check()
        self.size += len(chunk)
        self._buffer += chunk
        if len(self._buffer) < BUFFER:
            return
        try:
            self._flush()
        except OSError as error:
            self.abort()
            raise refusal(error) from error

    def commit(self) -> SpoolId:
        """Make the mail durable; Temporary if that fails, and then it is as if it had never come."""
        self.place()
        self._spool.settle([self])
        return self.spool_id

    def place(self) -> None:
        """All but the last step: the mail stands in in/ and is durable, its name not before ``Spool.settle``."""
        self._check()
        try:
            self._flush()
            self._sync()
            self._disk.replace(self._path, self._spool.root / "in" / self.spool_id)
        except OSError as error:
            self.abort()
            raise refusal(error) from error
        self._open = False

    def abort(self) -> None:
        """Forget the mail; safe to call at any time, also twice or after ``commit``."""
        if not self._open:
            return
        self._open = False
        self._buffer.clear()
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                self._disk.close(fd)
        with contextlib.suppress(OSError):
            # Whatever stays is swept at the next start.
            self._disk.unlink(self._path)

    def _check(self) -> None:
        if not self._open:
            raise ValueError(f"spool writer {self.spool_id} is closed")

    def _flush(self) -> None:
        if self._fd is None:
            self._fd = self._disk.create(self._path)
        self._disk.write(self._fd, self._buffer)
        self._buffer.clear()

    def _sync(self) -> None:
        assert self._fd is not None
        try:
            self._disk.fsync(self._fd)
        except OSError as error:
            if error.errno not in FULL:
                self._spool.broken = f"fsync {self._path}: {error}"
            raise
        fd, self._fd = self._fd, None
        self._disk.close(fd)

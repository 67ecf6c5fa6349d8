"""The spool: one file a mail, and the only thing that stands before a 250.

    tmp/ID            being written; swept at start-up
    in/ID             durable and accepted, waiting for the pipeline
    done/YYYY/MM/ID   processed; kept until two verified backups have it, since the journal's replay reads raw
                      bytes from here
    bad/ID, bad/ID.why   set aside for a person

A file is the envelope as one line of JSON, a line feed, and the raw bytes as received. ID is a
ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32, so that names sort by
arrival and the month of ``done/`` follows from the name.

Accepting is write, fsync, rename to in/, fsync of in/ (RFC 5321 §4.2.5: with the 250 we take the
responsibility). All of it is blocking and thread-safe: callers run ``commit`` in threads, and the
concurrent ones share the disk's flush. Limit: one process owns the directory (the service holds the lock).
"""

from __future__ import annotations

import bisect
import contextlib
import os
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.core.model import Envelope
from gateway.edge.durable import DISK, FULL, Disk, put_file, refusal
from gateway.errors import Damaged, StateError, Temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

SpoolId = str
BUFFER = 128 * 1024  # mails up to this size touch the disk only in commit(), in one write
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_RANDOM_BITS = 80
_VERSION = 1


def month_directory(spool_id: SpoolId) -> str:
    """Where a mail lies below done/: YYYY/MM of its arrival."""
    return time_of(spool_id).strftime("%Y/%m")


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


def _is_id(name: str) -> bool:
    try:
        time_of(name)
    except StateError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in in/; ``oldest`` is None when nothing does."""

    count: int
    bytes: int
    oldest: datetime | None


class Spool:
    """The spool directory below ``root``. ``on_put`` is called with each new id, in the committing thread.

    ``broken`` is set once an fsync failed for another reason than a full disk: from then on nothing
    is accepted, and the service shall end with exit code 75 so that a new process starts afresh.
    """

    def __init__(self, root: Path, disk: Disk = DISK, on_put: Callable[[SpoolId], None] | None = None) -> None:
        self.root, self.disk, self.on_put = root, disk, on_put
        self.broken: str | None = None
        self._tmp, self._in, self._done, self._bad = (root / name for name in ("tmp", "in", "done", "bad"))
        for directory in (self._tmp, self._in, self._done, self._bad):
            disk.mkdir(directory)
        self._ulids = Ulids()
        self._lock = threading.Lock()
        with os.scandir(self._in) as entries:
            # Files that are not ours (an editor's backup copy) are left alone.
            self._sizes = {entry.name: entry.stat().st_size for entry in entries if _is_id(entry.name)}
        self._order = sorted(self._sizes)
        self._bytes = sum(self._sizes.values())

    # --- Coming in ---

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
        with self._lock:
            for writer in writers:
                bisect.insort(self._order, writer.spool_id)
                self._sizes[writer.spool_id] = writer.length
                self._bytes += writer.length
        if self.on_put:
            for writer in writers:
                self.on_put(writer.spool_id)

    # --- Waiting ---

    def waiting(self, limit: int | None = None, skip: frozenset[SpoolId] = frozenset()) -> list[SpoolId]:
        """Ids in in/ that are not in ``skip``, oldest first, at most ``limit``."""
        with self._lock:
            if limit is None:
                return [spool_id for spool_id in self._order if spool_id not in skip]
            # At most len(skip) of the first entries can fall out.
            head = self._order[: limit + len(skip)]
        return [spool_id for spool_id in head if spool_id not in skip][:limit]

    def backlog(self) -> Backlog:
        with self._lock:
            oldest = time_of(self._order[0]) if self._order else None
            return Backlog(count=len(self._order), bytes=self._bytes, oldest=oldest)

    def free(self) -> tuple[int, float]:
        """Bytes we may still write, and the share of inodes that is free."""
        stat = os.statvfs(self.root)
        # File systems without a fixed inode table (btrfs) report none at all.
        return stat.f_bavail * stat.f_frsize, stat.f_favail / stat.f_files if stat.f_files else 1.0

    # --- Reading ---

    def path(self, spool_id: SpoolId) -> Path:
        """Where the mail lies now: in/, done/ or bad/; Damaged if nowhere."""
        # The order is that of a mail's life, so one that moves on meanwhile is still found.
        for directory in (self._in, self._month(spool_id), self._bad):
            if (directory / spool_id).exists():
                return directory / spool_id
        raise Damaged(f"{self.root}: spool entry {spool_id} is missing: restore it from a backup of spool/")

    def read(self, spool_id: SpoolId) -> tuple[Envelope, bytes]:
        """Envelope and raw bytes; Damaged if the first line is not an envelope we know."""
        line, raw = self._split(spool_id)
        try:
            envelope = msgspec.json.decode(line, type=Envelope)
        except msgspec.MsgspecError as error:
            raise self._unreadable(spool_id, str(error)) from error
        if envelope.version != _VERSION:
            why = f"envelope version {envelope.version}, this program knows {_VERSION}"
            raise self._unreadable(spool_id, why)
        return envelope, raw

    def raw(self, spool_id: SpoolId) -> bytes:
        """The mail as received, wherever it lies."""
        return self._split(spool_id)[1]

    # --- Going on ---

    def finish(self, spool_ids: Iterable[SpoolId]) -> None:
        """Move processed mails from in/ to done/YYYY/MM.

        Not fsynced: a move that a power cut undoes leaves the mail in in/, where the next start
        finds it, sees its id among the processed ones, and finishes it again.
        """
        moved = []
        try:
            for spool_id in spool_ids:
                self._move(spool_id, self._month(spool_id))
                moved.append(spool_id)
        finally:
            self._gone(moved)

    def quarantine(self, spool_id: SpoolId, why: str) -> None:
        """Set a mail aside in bad/, with the reason beside it."""
        name = f"{spool_id}.why"
        time_of(spool_id)
        try:
            # The reason first: a crash in between leaves the mail in in/, to be judged again.
            put_file(self.disk, self._tmp / name, self._bad / name, why.encode() + b"\n")
            self._move(spool_id, self._bad)
            self._gone([spool_id])
            self.disk.fsync_dir(self._bad)
        except OSError as error:
            raise StateError(f"{self._bad / name}: {error}: make the disk writable and restart") from error

    def done_bytes(self) -> int:
        """What done/ takes, by a look at every file."""
        total = 0
        for directory in self._done.glob("[0-9]*/[0-9]*"):
            with os.scandir(directory) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat().st_size
        return total

    def forget(self, spool_ids: Iterable[SpoolId]) -> int:
        """Delete mails from done/ that backups hold; how many. A crash or power cut leaves some, for the next time.

        Directories stay: ``finish`` may be about to move a mail into one.
        """
        count = 0
        for spool_id in spool_ids:
            path = self._month(spool_id) / spool_id
            try:
                self.disk.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateError(f"{path}: {error}: make the disk writable") from error
            count += 1
        return count

    def sweep(self) -> int:
        """Delete what an earlier process left in tmp/; nobody was told 250 for it. Start-up only."""
        leftovers = list(self._tmp.iterdir())
        for path in leftovers:
            self.disk.unlink(path)
        return len(leftovers)

    # --- Inside ---

    def _month(self, spool_id: SpoolId) -> Path:
        return self._done / month_directory(spool_id)

    def _move(self, spool_id: SpoolId, directory: Path) -> None:
        source, target = self._in / spool_id, directory / spool_id
        try:
            self.disk.mkdir(directory)
            self.disk.replace(source, target)
        except FileNotFoundError:
            if not target.exists():
                raise Damaged(f"{source} is missing: restore it from a backup of spool/") from None
        except OSError as error:
            raise StateError(f"{source} → {target}: {error}: make the disk writable and restart") from error

    def _gone(self, spool_ids: list[SpoolId]) -> None:
        """Strike ids off what waits. A batch is most often the head of the queue: one cut, not one an id."""
        with self._lock:
            known = {spool_id for spool_id in spool_ids if spool_id in self._sizes}
            if not known:
                return
            self._bytes -= sum(self._sizes.pop(spool_id) for spool_id in known)
            first = bisect.bisect_left(self._order, min(known))
            last = bisect.bisect_right(self._order, max(known))
            self._order[first:last] = [spool_id for spool_id in self._order[first:last] if spool_id not in known]

    def _split(self, spool_id: SpoolId) -> tuple[bytes, bytes]:
        for _ in range(2):  # Once more, in case it moved between look-up and reading.
            with contextlib.suppress(FileNotFoundError):
                line, newline, raw = self.path(spool_id).read_bytes().partition(b"\n")
                if not newline:
                    raise self._unreadable(spool_id, "no envelope line")
                return line, raw
        raise Damaged(f"{self.root}: spool entry {spool_id} is missing: restore it from a backup of spool/")

    def _unreadable(self, spool_id: SpoolId, why: str) -> Damaged:
        remedy = f"move the file to {self._bad} or restore it from a backup"
        return Damaged(f"{self.path(spool_id)}: {why}: {remedy}")


def _refused(why: str) -> Temporary:
    return Temporary(451, "4.3.0", "Temporary local problem, please try again later", why)


class SpoolWriter:
    """One mail on its way in. Ends with ``commit`` or ``abort``; an error aborts it by itself.

    ``write`` touches the disk only when BUFFER is full, so small mails never block an event loop.
    """

    def __init__(self, spool: Spool, spool_id: SpoolId, line: bytes) -> None:
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

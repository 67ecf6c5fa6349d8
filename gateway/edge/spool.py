"""The spool: one file a mail, and the only thing that stands before a 250.

    tmp/ID            being written; swept at start-up
    in/ID             durable and accepted, waiting for the pipeline
    done/YYYY/MM/ID   processed; kept until two verified backups have it, since the journal's replay reads raw
                      bytes from here
    bad/ID, bad/ID.why   set aside for a person

A file is the envelope as one line of JSON, a line feed, and the raw bytes as received. ID is a
ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32, so that names sort by
arrival and the month of ``done/`` follows from the name.

How a mail gets into it is in ``spool_in``. Limit: one process owns the directory (the service holds the
lock), though several may put mail into it.
"""

from __future__ import annotations

import bisect
import contextlib
import os
import threading
from typing import TYPE_CHECKING

import msgspec

from gateway.core.model import Envelope
from gateway.edge.durable import DISK, Disk, put_file
from gateway.edge.spool_in import Backlog, Inlet, SpoolId, time_of
from gateway.errors import Damaged, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

_VERSION = 1


def month_directory(spool_id: SpoolId) -> str:
    """Where a mail lies below done/: YYYY/MM of its arrival."""
    return time_of(spool_id).strftime("%Y/%m")


def _is_id(name: str) -> bool:
    try:
        time_of(name)
    except StateError:
        return False
    return True


class Spool(Inlet):
    """The spool directory below ``root``, and all that waits in it. ``on_put`` is called when mail came in, by any thread."""

    def __init__(self, root: Path, disk: Disk = DISK, on_put: Callable[[], None] | None = None) -> None:
        super().__init__(root, disk)
        self.on_put = on_put
        self._done, self._bad = root / "done", root / "bad"
        for directory in (self._done, self._bad):
            disk.mkdir(directory)
        self._lock = threading.Lock()
        with os.scandir(self._in) as entries:
            # Files that are not ours (an editor's backup copy) are left alone.
            self._sizes = {entry.name: entry.stat().st_size for entry in entries if _is_id(entry.name)}
        self._order = sorted(self._sizes)
        self._bytes = sum(self._sizes.values())

    # --- Waiting ---

    def arrived(self, mails: Sequence[tuple[SpoolId, int]]) -> None:
        with self._lock:
            for spool_id, length in mails:
                bisect.insort(self._order, spool_id)
                self._sizes[spool_id] = length
                self._bytes += length
        if self.on_put:
            self.on_put()

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

    def standing(self) -> int:
        """How many mails stand in in/, those included that a porter is just telling of."""
        with os.scandir(self._in) as entries:
            return sum(_is_id(entry.name) for entry in entries)

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



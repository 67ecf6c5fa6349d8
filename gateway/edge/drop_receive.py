"""The drop folder: a Maildir where local programs put mail for us.

Anything in ``new/`` goes into the spool and then to ``cur/`` with the flag S (seen). A file that is
no readable mail goes to ``bad/`` with ``NAME.why`` beside it. Nothing is ever deleted or overwritten.
We look once a second; a file is taken when two looks in a row saw the same size and time, because
not everybody writes to ``tmp/`` first as maildir(5) wants.

A file carries no envelope, so it is made from the header: Return-Path (RFC 5321 §4.4) or, without
one, the single address in From; and the addresses of Delivered-To, X-Original-To and To that are ours.
The raw bytes stay as they are, line ends too. A crash between spool and ``cur/`` spools the file a
second time, with the same delivery key: the store knows it by that.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from pathlib import Path

from gateway.core.address import canonical
from gateway.core.model import Envelope
from gateway.edge.header_trace import addresses, fields, mail_from
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool
from gateway.edge.spool_in import SpoolId
from gateway.errors import Temporary

log = logging.getLogger(__name__)

MAX_SIZE = 26_214_400
POLL_SECONDS = 1.0
_PIECE = 1 << 20
_RECIPIENTS = ("delivered-to", "x-original-to", "to")
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class UnreadableError(Exception):
    """The file is no mail that we can take; the text is for the ``.why`` beside it."""


class DropFolder:
    """A Maildir at ``root``, made if it is missing. ``default`` gets what names no address of ours."""

    def __init__(
        self,
        root: Path,
        spool: Spool,
        *,
        knows: Callable[[str], bool],
        default: str,
        max_size: int = MAX_SIZE,
        room: Room | None = None,
    ) -> None:
        self._spool, self._knows, self._default, self._max_size = spool, knows, default, max_size
        self._room = room or Room(spool, RoomLimits())
        self._new, self._cur, self._bad = root / "new", root / "cur", root / "bad"
        for directory in (root / "tmp", self._new, self._cur, self._bad):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._seen: dict[str, tuple[int, int]] = {}
        self._stuck: set[str] = set()

    async def run(self, threads: Executor | None = None, every: float = POLL_SECONDS) -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(threads, self.poll)
            except OSError:
                log.exception("%s: the drop folder cannot be listed", self._new)
            await asyncio.sleep(every)

    def poll(self) -> list[SpoolId]:
        """Take every file that has stopped changing; the ids it got. Blocking."""
        before, self._seen = self._seen, {}
        with os.scandir(self._new) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    self._seen[entry.name] = (state.st_size, state.st_mtime_ns)
        self._stuck &= self._seen.keys()
        ready = sorted(n for n, state in self._seen.items() if before.get(n) == state and n not in self._stuck)
        if not ready or self._room.refusal():
            return []
        return [spool_id for spool_id in map(self._take, ready) if spool_id]

    def _take(self, name: str) -> SpoolId | None:
        path = self._new / name
        try:
            spool_id = self._store(path)
        except FileNotFoundError:
            return None  # Somebody took it back.
        except Temporary as error:
            log.warning("%s: stays in new/, to be tried again: %s", path, error)
            return None
        except (UnreadableError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _OUR_TROUBLE:
                log.warning("%s: stays in new/, to be tried again: %s", path, error)
            else:
                self._set_aside(path, str(error))
            return None
        except Exception:
            # A bug of ours must neither stop the other files nor lose this one.
            log.exception("%s: left in new/ until the next start", path)
            self._stuck.add(name)
            return None
        self._move(path, self._cur, name.partition(":2,")[0], ":2,S")
        log.info("%s: spooled as %s", path, spool_id)
        return spool_id

    def _store(self, path: Path) -> SpoolId:
        try:
            # Neither a link out of the folder nor a pipe that never ends.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnreadableError("is a symbolic link: copy the file itself into new/") from None
            raise
        with os.fdopen(fd, "rb", buffering=0) as file:
            state = os.fstat(fd)
            if not stat.S_ISREG(state.st_mode):
                raise UnreadableError("is not a regular file: put one file per mail into new/")
            if state.st_size > self._max_size:
                raise UnreadableError(
                    f"has {state.st_size} bytes, the limit is {self._max_size}: raise max_size or split it"
                )
            piece = file.read(_PIECE)
            if not piece:
                raise UnreadableError("is empty: write the mail to tmp/ and move it to new/ when it is complete")
            writer = self._spool.begin(self._envelope(piece))
            try:
                while piece:
                    writer.write(piece)
                    piece = file.read(_PIECE)
            except BaseException:
                writer.abort()
                raise
            return writer.commit()

    def _envelope(self, head: bytes) -> Envelope:
        found = fields(head)
        named = (canonical(a) for name in _RECIPIENTS for text in found.get(name, ()) for a in addresses(text))
        return Envelope(
            channel="drop",
            received_at=datetime.now(UTC),
            mail_from=mail_from(found),
            rcpt_tos=tuple(dict.fromkeys(filter(self._knows, named))) or (self._default,),
        )

    def _set_aside(self, path: Path, why: str) -> None:
        log.warning("%s: %s; moved to bad/", path, why)
        if target := self._move(path, self._bad, path.name, ""):
            try:
                target.with_name(target.name + ".why").write_text(why + "\n", "utf-8")
            except OSError as error:
                log.warning("%s: its .why cannot be written: %s", target, error)

    def _move(self, path: Path, directory: Path, stem: str, flags: str) -> Path | None:
        """Rename without overwriting; None, and the file is left alone from now on, if that fails."""
        target, number = directory / (stem + flags), 1
        while os.path.lexists(target):
            number += 1
            target = directory / f"{stem}.{number}{flags}"
        try:
            path.rename(target)
        except OSError as error:
            log.error("%s: cannot be moved to %s: %s: make the directory writable and restart", path, target, error)
            self._stuck.add(path.name)
            return None
        return target

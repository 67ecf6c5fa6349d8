"""The mail data of RFC 5321 §4.1.1.4 on their way from the wire to the spool, in constant memory.

``DotDecoder`` finds the end and undoes dot-stuffing; ``Intake`` hands the bytes to the spool from
threads. Only CRLF ends a line: LF.LF, CR.CR and their mixtures are text and stay as they came
(the end of data is CRLF.CRLF and nothing else, against SMTP smuggling). Lines may be of any
length; only the size of the whole is limited. The raw mail is kept as received: no Received
header is put in front, what RFC 5321 §4.4 wants traced stands in the Envelope beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from gateway.core.model import Envelope
from gateway.edge.spool_commit import GroupCommit
from gateway.edge.spool_in import Inlet, SpoolId, SpoolWriter
from gateway.errors import Permanent

T = TypeVar("T")

PIECE = 64 * 1024  # smaller mails cost one thread job, larger ones one per this many bytes or more

_END = b"\r\n.\r\n"
_STARTS_OF_END = tuple(_END[:length] for length in range(len(_END) - 1, 0, -1))


class DotDecoder:
    """Chunks of the wire in, text out. ``rest`` is None until the end, then what came behind it."""

    def __init__(self) -> None:
        # The CRLF of the DATA command counts as the end of a line before the text
        # (RFC 5321 §4.1.1.4): it is put in front here, and taken away from the first output.
        self._held = b"\r\n"
        self._in_front = 2
        self.rest: bytes | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The text that ``chunk`` completes. What may be the beginning of the end is held back."""
        data = self._held + chunk
        end = data.find(_END)
        if end >= 0:
            self.rest = data[end + len(_END) :]
            text = data[: end + 2]
        else:
            self._held = next((start for start in _STARTS_OF_END if data.endswith(start)), b"")
            text = data[: len(data) - len(self._held)]
        if not text:
            return b""
        # RFC 5321 §4.5.2: a dot in front of a line was put there by the sender.
        text = text.replace(b"\r\n.", b"\r\n")[self._in_front :]
        self._in_front = 0
        return text


class Intake:
    """One mail between wire and spool.

    Never raises before ``finish``: an error is kept, the rest of the data is thrown away as it comes,
    and the peer hears of it where RFC 5321 §4.2.5 wants it, after the end of the data.
    """

    def __init__(
        self, spool: Inlet, envelope: Envelope, threads: Executor, commits: GroupCommit, max_size: int
    ) -> None:
        self._spool, self._envelope, self._threads, self._commits = spool, envelope, threads, commits
        self._max_size = max_size
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._writer: SpoolWriter | None = None
        self._error: Exception | None = None
        self.size = 0

    async def add(self, text: bytes) -> None:
        self.size += len(text)
        if self._error is not None:
            return
        if self.size > self._max_size:
            await self._give_up(Permanent(552, "5.3.4", f"Message size exceeds the limit of {self._max_size}"))
            return
        self._pieces.append(text)
        self._waiting += len(text)
        if self._waiting < PIECE:
            return
        try:
            await self._in_thread(self._write)
        except Exception as error:  # noqa: BLE001  # whatever it is, the data must be read to their end first
            await self._give_up(error)

    async def finish(self) -> SpoolId:
        """Make the mail durable. Cancelling this does not undo it: the mail is then stored unanswered."""
        if self._error is not None:
            raise self._error
        return await self._commits.commit(self._place)

    async def refuse(self, error: Exception) -> None:
        """Keep nothing of it; ``finish`` raises ``error``, unless there was one before."""
        if self._error is None:
            await self._give_up(error)

    async def abandon(self) -> None:
        """The peer went away before the end: nothing stays behind."""
        self._pieces.clear()
        if self._writer is not None:
            await self._in_thread(self._writer.abort)

    async def _give_up(self, error: Exception) -> None:
        self._error = error
        with contextlib.suppress(Exception):  # The first error is the one to tell.
            await self.abandon()

    async def _in_thread(self, job: Callable[[], T]) -> T:
        # Shielded: a job that waits for a thread would else vanish with the connection's task, and
        # one that runs would go on without anybody waiting for it.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, job))

    def _write(self) -> None:
        if self._writer is None:
            self._writer = self._spool.begin(self._envelope)
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self._writer.write(data)

    def _place(self) -> SpoolWriter:
        self._write()
        assert self._writer is not None
        self._writer.place()
        return self._writer

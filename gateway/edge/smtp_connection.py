"""An SMTP connection below its commands: streams, deadlines, limits, and the command loop.

aiosmtpd carries the connection: the transport, the change to TLS, the throwing away of what was sent
before it (RFC 3207 §4.2). The loop is ours, because its own answers a bug with a permanent 500 and
the exception's text, decodes addresses as if they stood in a header, has one timer for a whole
DATA, never tires of NOOP, and cancels a running fsync when the peer leaves. Here the command that
runs always ends by itself: its next read or write fails.
A reply ends a command; a 5 in front of it counts as an error.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, ClassVar, Protocol

from aiosmtpd.smtp import SMTP, TLSSetupException

from gateway.edge.durable import refusal
from gateway.edge.logins import Guesses, Users
from gateway.edge.smtp_data import PIECE
from gateway.edge.smtp_settings import DoorSettings
from gateway.edge.spool_commit import GroupCommit
from gateway.edge.spool_in import Inlet
from gateway.errors import SmtpError

log = logging.getLogger(__name__)

_READ_LIMIT = PIECE  # the stream reader pauses the peer at twice this
_BROWSER = frozenset({b"GET", b"POST", b"PUT", b"CONNECT", b"OPTIONS"})
# RFC 2920 §3.2: replies to MAIL and RCPT go together while the peer's next command is here already.
_GROUPED = ("250 2.1.0 ", "250 2.1.5 ")
_JUNK = frozenset({b"NOOP", b"RSET", b"VRFY", b"HELP", b"EHLO", b"HELO", b"LHLO"})


class Hangup(Exception):
    """Say ``reply``, if there is one, and close the connection."""

    def __init__(self, reply: str = "") -> None:
        super().__init__(reply)
        self.reply = reply


class Doorway(Protocol):
    """What a connection needs of the door it came in by."""

    @property
    def settings(self) -> DoorSettings: ...
    @property
    def spool(self) -> Inlet: ...
    @property
    def threads(self) -> Executor: ...
    @property
    def commits(self) -> GroupCommit: ...
    @property
    def knows(self) -> Callable[[str], bool]: ...
    @property
    def stopping(self) -> bool: ...
    @property
    def users(self) -> Users: ...
    @property
    def guesses(self) -> Guesses: ...
    @property
    def guards(self) -> Executor: ...
    @property
    def template(self) -> Mapping[str, Any]: ...
    def relay_of(self, peer: str) -> str | None: ...
    def refusal(self) -> SmtpError | None: ...
    def enter(self, connection: Connection) -> str | None: ...
    def leave(self, connection: Connection) -> None: ...


class Connection(SMTP):
    """Streams, deadlines, limits and the command loop; a subclass brings the commands."""

    protocol_name: ClassVar[str]
    VERBS: ClassVar[Mapping[bytes, Callable[[Any, bytes], Awaitable[str]]]]

    def __init__(self, door: Doorway) -> None:
        # Not SMTP.__init__: it looks at every attribute of the object by name, 0.2 ms a connection.
        # The door does that once and we start from what came out.
        vars(self).update(door.template)
        self.loop = asyncio.get_running_loop()
        asyncio.StreamReaderProtocol.__init__(
            self, asyncio.StreamReader(_READ_LIMIT, self.loop), self._cb_client_connected, self.loop
        )
        self._door, self._limits = door, door.settings.limits
        self.id = secrets.token_hex(4)  # the peer is told, so that a screenshot finds the log line
        self.peer = ""
        self.relay: str | None = None
        self.secure = False  # TLS stands
        self.waiting = False  # between two commands
        self.storing = False  # the mail has come in whole
        self._refused: str | None = None
        self._counts: collections.Counter[str] = collections.Counter()
        self._held = b""  # replies that go out with the next one
        self._deadline = self._end = math.inf  # of what we wait for now; of the connection

    # --- The connection ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called when the peer connects, and again when TLS stands."""
        if self._original_transport is None:
            address = transport.get_extra_info("peername")
            self.peer = address[0].removeprefix("::ffff:") if isinstance(address, tuple) else "unix"
            self.relay = self._door.relay_of(self.peer)
            self._refused = self._door.enter(self)
            if self._is_implicit and isinstance(transport, asyncio.ReadTransport):
                transport.pause_reading()  # what comes first is the handshake
        else:
            self.secure = True
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The base class cancels the running command; ours ends when its next read or write fails."""
        if self._original_transport is not None:
            self._original_transport.close()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self.transport = None

    def eof_received(self) -> bool | None:
        """A peer that sent everything and closed its half still gets its replies."""
        kept = asyncio.StreamReaderProtocol.eof_received(self)
        return False if self.secure else kept

    def _reset_timeout(self, duration: float | None = None) -> None:
        """The last resort only; each wait has its own deadline."""
        if self._timeout_handle is None:
            limits = self._limits
            self._close_by(self.loop.time() + limits.session_seconds + limits.data_seconds + limits.command_seconds)

    def _close_by(self, end: float) -> None:
        self._end = end
        self._watch(math.inf)

    def _watch(self, deadline: float) -> None:
        """Reading from the peer fails with TimeoutError at ``deadline``.

        Nearly every wait ends long before its deadline, so one timer serves them all: it is set anew
        only when a deadline comes before it, or when it runs out in front of one.
        """
        self._deadline = deadline
        due = min(deadline, self._end)
        if self._timeout_handle is None or due < self._timeout_handle.when():
            if self._timeout_handle is not None:
                self._timeout_handle.cancel()
            self._timeout_handle = self.loop.call_at(due, self._run_out)

    def _run_out(self) -> None:
        self._timeout_handle = None
        now = self.loop.time()
        if self._end <= now:
            self.abort()
        elif self._deadline <= now:
            self._reader.set_exception(TimeoutError())
        else:
            self._watch(self._deadline)

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._handler_coroutine

    def abort(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def push(self, status: str | bytes) -> None:
        self._say(status.encode("ascii") if isinstance(status, str) else status)
        if not self._writer.transport.get_write_buffer_size():
            await self._writer.drain()  # it only looks whether the connection still stands
            return
        async with asyncio.timeout(self._limits.command_seconds):
            await self._writer.drain()

    def dismiss(self, reply: str) -> None:
        """Say goodbye and close, without waiting for the peer to listen."""
        if not self._writer.is_closing():
            self._say(reply.encode("ascii"))
            self._writer.close()

    def _say(self, line: bytes) -> None:
        """A reply, behind those that were held for it."""
        self._writer.write(self._held + line + b"\r\n")
        self._held = b""

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except Hangup as end:
            if end.reply:
                log.info("%s: connection %s closed: %s", self.peer, self.id, end.reply)
                self.dismiss(end.reply)
        except TimeoutError:
            self.dismiss("421 4.4.2 Timeout, closing connection")
        except (ConnectionError, asyncio.IncompleteReadError, TLSSetupException):
            log.debug("%s: connection %s lost", self.peer, self.id)
        finally:
            if self.transport is not None:  # A peer that does not read its last replies shall not keep the socket.
                self._close_by(self.loop.time() + self._limits.tls_seconds)
            self._writer.close()
            self._door.leave(self)

    async def _converse(self) -> None:
        if self._refused is not None:
            raise Hangup("" if self._is_implicit else self._refused)
        if self._is_implicit:
            await self._handshake()
        await self.push(f"220 {self._door.settings.hostname} {self.protocol_name} Mailwicket")
        ends = self.loop.time() + self._limits.session_seconds
        while True:
            if self._door.stopping:
                raise Hangup("421 4.3.2 Service shutting down, please try again later")
            line = await self._read_line(min(self.loop.time() + self._limits.command_seconds, ends))
            reply = await self._obey(line)
            if reply.startswith(_GROUPED) and b"\n" in self._reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  # nothing public looks without waiting
                self._held += reply.encode("ascii") + b"\r\n"
            elif reply:
                await self.push(reply)
            if reply.startswith("5") and not reply.startswith("550 5.1.1"):
                await self._count_error()

    @property
    def _is_implicit(self) -> bool:
        submission = self._door.settings.submission
        return submission is not None and submission.implicit

    async def _handshake(self) -> None:
        """TLS from the first octet. Not create_server's: that calls us after the handshake, and nobody counts who is in one."""
        plain, context = self.transport, self._door.settings.tls
        assert context is not None  # settings_checks asked for it
        assert isinstance(plain, asyncio.WriteTransport)
        try:
            transport = await self.loop.start_tls(
                plain, self, context, server_side=True, ssl_handshake_timeout=self._limits.tls_seconds
            )
        except OSError:
            raise Hangup from None
        assert transport is not None
        self._original_transport, self.transport, self.secure = plain, transport, True
        self._reader._transport = self._writer._transport = transport  # type: ignore[attr-defined]  # noqa: SLF001  # as StreamWriter.start_tls does

    async def _read_line(self, deadline: float) -> bytes | None:
        """The next command without its line end, which may be a bare LF; None if it is too long."""
        too_long = False
        self.waiting = True
        self._watch(deadline)
        try:
            while True:
                try:
                    line = await self._reader.readuntil(b"\n")
                    return None if too_long else line[:-1].removesuffix(b"\r")
                except asyncio.LimitOverrunError as error:
                    too_long = True
                    await self._reader.read(error.consumed)
        finally:
            self.waiting = False
            self._deadline = math.inf

    async def _obey(self, line: bytes | None) -> str:
        if line is None or len(line) > self._limits.command_octets:
            return "500 5.5.2 Line too long"
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if verb in _BROWSER:  # A web page made a browser talk to us; none of it is for us.
            raise Hangup("421 4.7.0 This is not a web server")
        self._counts["junk"] += verb in _JUNK
        if self._counts["junk"] > self._limits.junk:
            raise Hangup("421 4.7.0 Too many commands without a mail")
        command = self.VERBS.get(verb)
        if command is None:
            return "500 5.5.1 Command not recognized"
        try:
            return await command(self, argument.strip(b" "))
        except Exception as error:
            if isinstance(error, Hangup | TimeoutError | ConnectionError | TLSSetupException):
                raise
            return await self.handle_exception(error)

    async def handle_exception(self, error: Exception) -> str:
        """Our own trouble is temporary and none of the peer's business (RFC 5321 §4.2.1)."""
        if isinstance(error, SmtpError):
            if error.code < 500:
                log.warning("%s: connection %s: %s", self.peer, self.id, error)
            return f"{error.reply} ({self.id})"
        log.error("%s: connection %s: command failed", self.peer, self.id, exc_info=error)
        if isinstance(error, OSError):
            return f"{refusal(error).reply} ({self.id})"
        return f"451 4.3.0 Temporary failure, please try again later ({self.id})"

    async def _count_error(self) -> None:
        self._counts["errors"] += 1
        if self._counts["errors"] >= self._limits.errors_close:
            raise Hangup("421 4.7.0 Too many errors")
        if self._counts["errors"] > self._limits.errors_slow:
            await asyncio.sleep(self._limits.slow_seconds)

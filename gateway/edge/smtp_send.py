"""Sending through a smarthost: one recipient a transaction, bytes unchanged, an honest outcome.

Standards: RFC 5321 (§4.5.2 transparency, §4.5.3.2 timeouts), 1870 (SIZE), 3207 (STARTTLS), 4954
(AUTH), 8314 (implicit TLS).

aiosmtplib speaks the protocol up to DATA; the text we write ourselves, because its ``data()`` does
not tell whether the final dot had been written when the connection went: before it the mail is
deferred, after it uncertain. Its address parser is kept out of the way too: it re-reads what it is
given and may find another address in it.

TLS is required unless the settings say "none", and a login is never tried without it. A certificate
that does not verify, a missing STARTTLS and a refused login are our misconfiguration, never a
property of the mail. Limits: no SMTPUTF8, PIPELINING, CHUNKING or DSN.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import aiosmtplib
from aiosmtplib import SMTPResponse

from gateway.core.address import parse_mailbox
from gateway.core.retry import Outcome, SendResult
from gateway.edge.oauth import TokenRefused
from gateway.errors import AddressError

# Replies that speak of us, not of the mail, at whatever command they come (RFC 4954 §6, RFC 3207 §4).
_OUR_FAULT = frozenset({530, 534, 535, 538})
_BLOCK = 64 * 1024
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_DOT_LINE = re.compile(rb"(?m)^\.")
_REPLY_LENGTH = 500
# What can end a command without an answer; TimeoutError and ConnectionError are OSErrors.
_LOST = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError)


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str: ...

    def refused(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SmarthostSettings:
    """Where to send, and how long to wait in seconds. ``helo`` is our name in EHLO."""

    host: str
    helo: str
    port: int = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    verify: bool = True
    cafile: str | None = None
    username: str | None = None
    password: str = field(default="", repr=False)
    tokens: Tokens | None = None    # XOAUTH2 instead of the password
    connections: int = 4
    keep: float = 30  # how long an idle connection is kept for the next mail
    connect_timeout: float = 30
    command_timeout: float = 300
    block_timeout: float = 180  # RFC 5321 §4.5.3.2.5
    end_timeout: float = 600  # RFC 5321 §4.5.3.2.6
    give_way: float = 5  # how long a server that could not be reached is not dialled again

    def __post_init__(self) -> None:
        if self.username is not None and self.tls == "none":
            raise ValueError("a password is never sent without TLS: set tls to starttls or implicit")


@dataclass(frozen=True, slots=True)
class _Transaction:
    """A checked mail: the arguments of MAIL and RCPT, the text after dot-stuffing."""

    sender: str
    recipient: str
    size: int
    text: bytes


class _UnopenedError(Exception):
    """No connection could be had; ``result`` says why."""

    def __init__(self, result: SendResult) -> None:
        super().__init__(result.reply)
        self.result = result


class _StaleError(Exception):
    """The connection was dead before the server answered MAIL: nothing of the mail was sent."""


def _reply(text: str) -> str:
    """One printable line of bounded length from whatever the server said."""
    return "".join(c if c.isprintable() else " " for c in text)[:_REPLY_LENGTH].strip()


def _said(response: SMTPResponse) -> str:
    return _reply(f"{response.code} {response.message}")


def _judged(response: SMTPResponse) -> SendResult:
    """The result of a refusal: 4yz try again, 5yz never (RFC 5321 §4.2.1), nonsense try again."""
    outcome: Outcome = "failed" if 500 <= response.code < 600 else "deferred"
    if response.code in _OUR_FAULT:
        outcome = "misconfigured"
    return SendResult(outcome, _said(response))


def _transaction(mail_from: str, rcpt_to: str, raw: bytes) -> _Transaction | SendResult:
    """Check everything before the first octet goes out."""
    try:
        sender = parse_mailbox(mail_from) if mail_from else ""
        recipient = parse_mailbox(rcpt_to)
    except AddressError as error:
        return SendResult("failed", _reply(f"553 5.1.3 not sent: {error}"))
    if _BARE.search(raw) or not raw.endswith(b"\r\n"):
        # RFC 5321 §2.3.8: bare CR or LF would let the text smuggle an end of data.
        return SendResult("failed", "554 5.6.0 not sent: the mail has a line that does not end with CRLF")
    return _Transaction(sender, recipient, len(raw), _DOT_LINE.sub(b"..", raw))


class _Connection:
    """One session with the smarthost, after TLS and login."""

    def __init__(self, settings: SmarthostSettings, client: aiosmtplib.SMTP) -> None:
        protocol, transport = client.protocol, client.transport
        assert protocol is not None
        assert isinstance(transport, asyncio.WriteTransport)
        self.settings, self.client, self.protocol, self.transport = settings, client, protocol, transport
        # drain() then waits until all is handed to the system, not merely buffered by us. (Not
        # high=0: asyncio's TLS transport would take the empty buffer for a full one and never resume.)
        transport.set_write_buffer_limits(high=1, low=0)
        self.writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
        self.used = False
        self.idle_since = 0.0

    @classmethod
    async def open(cls, settings: SmarthostSettings, context: ssl.SSLContext | None) -> _Connection:
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=settings.helo,
            timeout=settings.command_timeout,
            use_tls=settings.tls == "implicit",
            start_tls=False,
            tls_context=context,
        )
        try:
            await client.connect(timeout=settings.connect_timeout)
            await client.ehlo(timeout=settings.connect_timeout)
            if settings.tls == "starttls":
                await _upgrade(client, settings)
            if settings.username is not None:
                await _log_in(client, settings, settings.username)
            return cls(settings, client)
        except BaseException as error:
            _discard(client)
            if isinstance(error, (aiosmtplib.SMTPException, OSError)):
                raise _UnopenedError(_why_unopened(error)) from error
            raise

    @property
    def alive(self) -> bool:
        return self.client.is_connected

    def drop(self) -> None:
        """Close at once; a polite close would wait for a peer that may be gone."""
        self.client.close()
        self.transport.abort()

    async def quit(self) -> None:
        """Say goodbye; whether it is heard does not matter."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self.client.quit(timeout=self.settings.connect_timeout)
        self.drop()

    async def deliver(self, mail: _Transaction) -> SendResult:
        """The transaction MAIL, RCPT, DATA. Afterwards the connection is dead or ready for the next one."""
        # RFC 1870 §6: a mail that is too large is refused before it is sent.
        size = (f"SIZE={mail.size}".encode(),) if self.client.supports_extension("size") else ()
        steps = (
            ("MAIL", (b"MAIL", f"FROM:<{mail.sender}>".encode(), *size), (250,)),
            ("RCPT", (b"RCPT", f"TO:<{mail.recipient}>".encode()), (250, 251)),
            ("DATA", (b"DATA",), (354,)),
        )
        for name, words, expected in steps:
            try:
                response = await self.client.execute_command(*words)
            except aiosmtplib.SMTPResponseException as error:
                self.drop()
                return SendResult("deferred", _reply(f"unintelligible answer to {name}: {error.message}"))
            except _LOST as error:
                self.drop()
                if name == "MAIL" and self.used:
                    raise _StaleError from error
                return SendResult("deferred", _reply(f"connection lost at {name}: {error}"))
            if response.code not in expected:
                if response.code == 421 and name == "MAIL" and self.used:
                    # RFC 5321 §3.8: closing the channel, most often because it was idle.
                    self.drop()
                    raise _StaleError
                await self._reset(response)
                return _judged(response)
        return await self._text(mail.text)

    async def _reset(self, response: SMTPResponse) -> None:
        """Make the session ready for another mail after a refusal, or drop it."""
        if response.code == 421 or not 400 <= response.code < 600:
            self.drop()
            return
        try:
            await self.client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self.drop()

    async def _text(self, text: bytes) -> SendResult:
        """Write the text and the final dot, and judge the answer by whether the dot was written."""
        answer = asyncio.ensure_future(self.protocol.read_response())
        try:
            await asyncio.sleep(0)  # The reader must wait before anything can be answered.
            early = await self._write_text(text, answer)
            if early is not None:
                self.drop()
                return early
            self.writer.write(b".\r\n")
            return await self._after_dot(answer)
        finally:
            answer.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiosmtplib.SMTPException, OSError):
                await answer

    async def _write_text(self, text: bytes, answer: asyncio.Future[SMTPResponse]) -> SendResult | None:
        """Write all but the dot; a result means that the dot shall not be written any more."""
        try:
            for start in range(0, len(text), _BLOCK):
                self.writer.write(text[start : start + _BLOCK])
                async with asyncio.timeout(self.settings.block_timeout):
                    await self.writer.drain()
                if answer.done():
                    break
        except OSError as error:
            return SendResult("deferred", _reply(f"connection lost in DATA: {error or 'timeout'}"))
        if not answer.done():
            return None
        try:
            response = answer.result()
        except (aiosmtplib.SMTPException, OSError) as error:
            return SendResult("deferred", _reply(f"connection lost in DATA: {error}"))
        # Not foreseen by RFC 5321, but seen: a refusal in the middle of the text.
        return _judged(response)

    async def _after_dot(self, answer: asyncio.Future[SMTPResponse]) -> SendResult:
        try:
            response = await asyncio.wait_for(answer, self.settings.end_timeout)
        except (aiosmtplib.SMTPException, OSError) as error:
            self.drop()
            return SendResult("uncertain", _reply(f"no answer after the dot: {error or 'timeout'}"))
        if 200 <= response.code < 300:
            return SendResult("sent", _said(response))
        if not 400 <= response.code < 600:
            self.drop()
            return SendResult("uncertain", _reply(f"unintelligible answer after the dot: {_said(response)}"))
        if response.code == 421:
            self.drop()
        return _judged(response)


async def _upgrade(client: aiosmtplib.SMTP, settings: SmarthostSettings) -> None:
    if not client.supports_extension("starttls"):
        raise _UnopenedError(
            SendResult("misconfigured", f"{settings.host} offers no STARTTLS: set tls, or find who strips it")
        )
    await client.starttls(timeout=settings.connect_timeout)
    # RFC 3207 §4.2: what was said before TLS is forgotten.
    await client.ehlo()


async def _log_in(client: aiosmtplib.SMTP, settings: SmarthostSettings, username: str) -> None:
    if settings.tokens is None:
        await client.login(username, settings.password)
        return
    try:
        token = await settings.tokens.token()
    except TokenRefused as error:
        raise _UnopenedError(SendResult("misconfigured", _reply(f"no access token: {error}"))) from error
    try:
        await client.auth_xoauth2(username, token)
    except aiosmtplib.SMTPAuthenticationError:
        settings.tokens.refused()   # perhaps revoked before its time: the next attempt has a fresh one
        raise


def _why_unopened(error: BaseException) -> SendResult:
    """Which failures before MAIL are ours, and which will pass."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return SendResult("misconfigured", _reply(f"TLS failed: {error}"))
    if isinstance(error, aiosmtplib.SMTPResponseException):
        # No mail was named yet, so a permanent refusal is about us.
        outcome: Outcome = "misconfigured" if 500 <= error.code < 600 else "deferred"
        return SendResult(outcome, _reply(f"{error.code} {error.message}"))
    if isinstance(error, OSError):
        return SendResult("deferred", _reply(str(error) or type(error).__name__))
    # What is left of SMTPException: no AUTH, or no method that both sides know.
    return SendResult("misconfigured", _reply(str(error)))


def _discard(client: aiosmtplib.SMTP) -> None:
    """Close a connection that was never finished."""
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


class Smarthost:
    """Sends mails over at most ``settings.connections`` connections, kept open between mails.

    ``close`` (or leaving ``async with``) says QUIT on the idle ones. A cancelled ``send`` drops its
    connection and tells nothing: the caller must take that mail as uncertain.
    """

    def __init__(self, settings: SmarthostSettings) -> None:
        self.settings = settings
        self._context = _tls_context(settings) if settings.tls != "none" else None
        self._slots = asyncio.Semaphore(settings.connections)
        self._idle: list[_Connection] = []
        self._down: tuple[float, SendResult] | None = None      # until when (monotonic), and what it said

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str = "") -> SendResult:
        """Send ``raw`` to one recipient. ``mail_from`` '' is the null reverse-path; ``name`` is not used."""
        mail = _transaction(mail_from, rcpt_to, raw)
        if isinstance(mail, SendResult):
            return mail
        async with self._slots:
            kept = self._kept()
            if kept is not None:
                with contextlib.suppress(_StaleError):
                    return await self._through(kept, mail)
            if self._down is not None and time.monotonic() < self._down[0]:
                return self._down[1]
            try:
                fresh = await _Connection.open(self.settings, self._context)
            except _UnopenedError as error:
                if error.result.outcome == "deferred":
                    # A hundred mails would else wait for the same silence one behind the other.
                    self._down = time.monotonic() + self.settings.give_way, error.result
                return error.result
            self._down = None
            return await self._through(fresh, mail)

    def _kept(self) -> _Connection | None:
        """The most recently used connection that still lives; those idle for too long are closed."""
        oldest = time.monotonic() - self.settings.keep
        stale = [c for c in self._idle if not c.alive or c.idle_since < oldest]
        self._idle = [c for c in self._idle if c not in stale]
        found = self._idle.pop() if self._idle else None
        for connection in stale:
            connection.drop()
        return found

    async def _through(self, connection: _Connection, mail: _Transaction) -> SendResult:
        try:
            result = await connection.deliver(mail)
        except BaseException:
            connection.drop()
            raise
        if connection.alive:
            connection.used, connection.idle_since = True, time.monotonic()
            self._idle.append(connection)
        else:
            connection.drop()
        return result


def _tls_context(settings: SmarthostSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.cafile)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

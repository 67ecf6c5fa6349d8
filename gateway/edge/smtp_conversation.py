"""The commands of SMTP and LMTP.

Standards: RFC 5321, 1870 (SIZE), 2033 (LMTP), 2034 and 3463 (enhanced codes), 2920 (PIPELINING),
3207 (STARTTLS), 6152 (8BITMIME). Not offered: SMTPUTF8, CHUNKING, DSN. AUTH belongs to the submission
port (smtp_submission.py).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from gateway.core.address import canonical, parse_path
from gateway.core.model import Envelope
from gateway.edge.smtp_connection import Connection, Doorway, Hangup
from gateway.edge.smtp_data import PIECE, DotDecoder, Intake
from gateway.errors import AddressError, Permanent

# A path, where a quoted local part may hold '>' and blanks; then ESMTP parameters.
_PATH = re.compile(rb' *(<(?:[^"<>]|"(?:[^"\\]|\\.)*")*>)((?: +[^ ]+)*) *', re.DOTALL)
_PEER_NAME = re.compile(rb"[\x21-\x7e]{1,255}")  # RFC 5321 §4.1.1.1, with what is seen in practice
_SIZE = re.compile(rb"[0-9]{1,20}")  # RFC 1870 §3
_BODIES = frozenset({b"7BIT", b"8BITMIME"})  # RFC 6152 §2
_POSTMASTER = "<postmaster>"  # RFC 5321 §4.5.1


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What MAIL began (RFC 5321 §3.3). ``rcpt_tos`` has an entry per accepted RCPT, doubles too."""

    mail_from: str | None
    rcpt_tos: list[str] = field(default_factory=list)


class Conversation(Connection):
    """SMTP; ``LmtpConversation`` below is its RFC 2033 dialect."""

    channel: ClassVar[Literal["smtp", "lmtp", "submission"]] = "smtp"
    protocol_name = "ESMTP"
    hello: ClassVar[str] = "EHLO"

    def __init__(self, door: Doorway) -> None:
        super().__init__(door)
        self._transaction: Transaction | None = None

    def _set_rset_state(self) -> None:
        """The base class calls this for a new connection and when TLS stands."""
        self._transaction = None

    def _extensions(self) -> list[str]:
        offers_tls = self._door.settings.tls is not None and not self.secure
        always = [f"SIZE {self._door.settings.max_size}", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        return always + ["STARTTLS"] * offers_tls

    async def _hello(self, argument: bytes) -> str:
        return self._greet(argument, self._extensions())

    async def _helo(self, argument: bytes) -> str:
        return self._greet(argument, [])

    def _greet(self, argument: bytes, extensions: list[str]) -> str:
        if not _PEER_NAME.fullmatch(argument):
            return f"501 5.5.4 Syntax: {self.hello} hostname"
        assert self.session is not None
        self._transaction = None  # RFC 5321 §4.1.4
        self.session.host_name = argument.decode("ascii")
        self.session.extended_smtp = bool(extensions)
        *lines, last = [self._door.settings.hostname, *extensions]
        return "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}"

    async def _mail(self, argument: bytes) -> str:
        assert self.session is not None
        if not self.session.host_name:
            return f"503 5.5.1 Send {self.hello} first"
        if self._transaction is not None:
            return "503 5.5.1 Nested MAIL command"
        if argument[:5].upper() != b"FROM:":
            return "501 5.5.4 Syntax: MAIL FROM:<address>"
        if trouble := self._door.refusal():
            return f"{trouble.reply} ({self.id})"
        try:
            path, parameters = _split_path(argument[5:])
            mail_from = parse_path(path)
        except AddressError:
            return "553 5.1.3 Malformed sender address"
        if refused := self._why_not_parameters(parameters):
            return refused
        self._transaction = Transaction(mail_from=mail_from)
        return "250 2.1.0 Sender OK"

    def _why_not_parameters(self, parameters: list[bytes]) -> str | None:
        assert self.session is not None
        if parameters and not self.session.extended_smtp:
            return "555 5.5.4 No parameters after HELO"
        for parameter in parameters:
            name, _, value = parameter.upper().partition(b"=")
            if name == b"SIZE" and _SIZE.fullmatch(value):
                if int(value) > self._door.settings.max_size:
                    return f"552 5.3.4 Message size exceeds the limit of {self._door.settings.max_size}"
            elif not self._is_parameter(parameter):
                return "555 5.5.4 Parameter not recognized"
        return None

    def _is_parameter(self, parameter: bytes) -> bool:
        name, _, value = parameter.upper().partition(b"=")
        return name == b"BODY" and value in _BODIES

    def _takes(self, address: str) -> bool:
        return self._door.knows(address)

    async def _rcpt(self, argument: bytes) -> str:
        if self._transaction is None:
            return "503 5.5.1 Send MAIL first"
        if argument[:3].upper() != b"TO:":
            return "501 5.5.4 Syntax: RCPT TO:<address>"
        rcpt_tos = self._transaction.rcpt_tos
        try:
            path, parameters = _split_path(argument[3:])
            postmaster = path.lower() == _POSTMASTER
            rcpt_to = f"postmaster@{self._door.settings.hostname}" if postmaster else parse_path(path)
        except AddressError:
            rcpt_to = None
        if rcpt_to is None:
            return "553 5.1.3 Malformed recipient address"
        if parameters:
            return "555 5.5.4 Parameter not recognized"
        rcpt_to = canonical(rcpt_to)
        if not postmaster and not self._takes(rcpt_to):
            return await self._unknown()
        if len(rcpt_tos) >= self._limits.recipients:
            # Not an error, or a sender with many recipients would lose its connection.
            self._counts["overshoot"] += 1
            if self._counts["overshoot"] > self._limits.overshoot:
                raise Hangup("421 4.7.0 Too many recipients")
            return "452 4.5.3 Too many recipients"
        rcpt_tos.append(rcpt_to)
        return "250 2.1.5 Recipient OK"

    async def _unknown(self) -> str:
        """Guessing addresses shall take time; a trusted relay has been asked and may be wrong."""
        if self.relay is None and self.channel == "smtp":
            self._counts["unknown"] += 1
            if self._counts["unknown"] > self._limits.unknown:
                raise Hangup("421 4.7.0 Too many unknown recipients")
            await asyncio.sleep(self._limits.slow_seconds)
        return "550 5.1.1 No such recipient here"

    async def _data(self, argument: bytes) -> str:
        transaction = self._transaction
        if argument:
            return "501 5.5.4 Syntax: DATA"
        if transaction is None or not transaction.rcpt_tos:
            return "503 5.5.1 Send MAIL and a valid RCPT first"  # for LMTP: RFC 2033 §4.2
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._transaction = None
        door = self._door
        intake = Intake(door.spool, self._envelope(transaction), door.threads, door.commits, door.settings.max_size)
        try:
            await self._receive(intake)
            if refused := self._why_not():
                await intake.refuse(refused)
        except Exception:  # Not when cancelled: a thread may still be writing. tmp/ is swept at start-up.
            await intake.abandon()
            raise
        self.storing = True
        try:
            reply = f"250 2.0.0 {await intake.finish()}"
            self._counts["junk"] = 0
        except Exception as error:  # noqa: BLE001  # our trouble is a 451, whatever it is
            reply = await self.handle_exception(error)
        finally:
            self.storing = False
        return self._after_data(reply, transaction)

    def _after_data(self, reply: str, transaction: Transaction) -> str:
        return reply

    def _why_not(self) -> Permanent | None:
        """A reason to refuse the mail that has come in, told in place of its 250."""
        return None

    def _envelope(self, transaction: Transaction) -> Envelope:
        assert self.session is not None
        return Envelope(
            channel=self.channel,
            received_at=datetime.now(UTC),
            mail_from=transaction.mail_from,
            rcpt_tos=tuple(dict.fromkeys(transaction.rcpt_tos)),
            helo=self.session.host_name or "",
            peer=self.peer,
            tls=self.secure,
            relay=self.relay,
        )

    async def _receive(self, intake: Intake) -> None:
        """Read up to the end of the data; what was pipelined behind it goes back to the reader."""
        limits, decoder = self._limits, DotDecoder()
        received, spent = 0, 0.0  # Only the time that we wait for the peer is the peer's.
        while decoder.rest is None:
            earned = limits.idle_seconds + received / limits.min_rate
            patience = min(limits.idle_seconds, earned - spent, limits.data_seconds - spent)
            began = self.loop.time()
            self._watch(began + patience)
            chunk = await self._reader.read(4 * PIECE)
            self._deadline = math.inf
            spent += self.loop.time() - began
            if not chunk:
                raise ConnectionResetError("end of file before end of data")
            received += len(chunk)
            await self._keep(intake, decoder.feed(chunk))
            if intake.size > 2 * self._door.settings.max_size + PIECE:  # It was told the limit, and goes on.
                raise Hangup("552 5.3.4 Message size exceeds the limit, closing connection")
        self._reader._buffer[:0] = decoder.rest  # type: ignore[attr-defined]  # noqa: SLF001

    async def _keep(self, intake: Intake, text: bytes) -> None:
        await intake.add(text)

    async def _rset(self, argument: bytes) -> str:
        self._transaction = None
        return "250 2.0.0 OK"

    async def _noop(self, argument: bytes) -> str:
        return "250 2.0.0 OK"

    async def _vrfy(self, argument: bytes) -> str:
        return "252 2.5.0 Cannot verify, but will take mail"  # RFC 5321 §7.3: no oracle

    async def _help(self, argument: bytes) -> str:
        return "214 2.0.0 " + " ".join(sorted(verb.decode() for verb in self.VERBS))

    async def _quit(self, argument: bytes) -> str:
        raise Hangup("221 2.0.0 Bye")

    async def _starttls(self, argument: bytes) -> str:
        if argument:
            return "501 5.5.4 Syntax: STARTTLS"
        if self._door.settings.tls is None or self.secure:
            return "503 5.5.1 TLS is not available, or stands already"
        # RFC 3207 §4.2: the base class forgets all state and every octet that came before TLS.
        try:
            async with asyncio.timeout(self._limits.tls_seconds):
                await self.smtp_STARTTLS("")
        except TimeoutError:
            raise Hangup from None
        return ""

    VERBS: ClassVar[Mapping[bytes, Callable[[Any, bytes], Awaitable[str]]]] = {
        b"EHLO": _hello,
        b"HELO": _helo,
        b"STARTTLS": _starttls,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"HELP": _help,
        b"QUIT": _quit,
    }


class LmtpConversation(Conversation):
    """RFC 2033: LHLO in place of EHLO and HELO, and a reply per recipient after the data."""

    channel = "lmtp"
    protocol_name = "LMTP"
    hello = "LHLO"

    def _after_data(self, reply: str, transaction: Transaction) -> str:
        return "\r\n".join([reply] * len(transaction.rcpt_tos))  # RFC 2033 §4.2

    VERBS = {b"LHLO": Conversation._hello} | {  # noqa: SLF001  # its own base class
        verb: command for verb, command in Conversation.VERBS.items() if verb not in (b"EHLO", b"HELO")
    }


def _split_path(argument: bytes) -> tuple[str, list[bytes]]:
    """``<path>`` and the parameters behind it, unchecked; AddressError if there is no such thing."""
    match = _PATH.fullmatch(argument)
    if match is None:
        raise AddressError("no path in angle brackets")
    # Latin-1 keeps every octet, for the grammar to refuse.
    return match.group(1).decode("latin-1"), match.group(2).split()

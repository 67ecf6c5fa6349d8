"""The submission door (RFC 6409, RFC 8314): agents log in with a password and write to anybody.

Standards: RFC 4954 (AUTH), RFC 4616 (PLAIN); LOGIN is no standard, but what old mail programs speak. AUTH
stands only behind TLS, MAIL only behind AUTH. MAIL FROM and From must be addresses of who logged
in: both are refused with 550 or 553 before the mail is ours, since a mail program shows that to its
user at once. From is looked for in the first HEADER octets only; core/identity.py judges it anew.

Recipients: our own addresses, and outside addresses, which is for logged-in agents alone. Whether
and how mail goes on to them is decided later like everything else (core/outbound.py).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from gateway.core.address import canonical, domain
from gateway.core.model import Envelope
from gateway.edge.header_trace import addresses, fields
from gateway.edge.smtp_connection import Doorway, Hangup
from gateway.edge.smtp_conversation import Conversation, Transaction
from gateway.edge.smtp_data import Intake
from gateway.edge.smtp_settings import Submission, network_of
from gateway.errors import Permanent, StateError

log = logging.getLogger(__name__)

HEADER = 64 * 1024          # From must stand in the first so many octets
_MOST_ANSWER = 12_288       # RFC 4954 §4
_FAILURES = 3               # a connection
_SYNTAX = "501 5.5.2 Not base64, or not what the mechanism wants"
_WRONG = "535 5.7.8 Login or password is wrong"


class _Refused(Exception):
    """The exchange ends with this reply."""


class SubmissionConversation(Conversation):
    """SMTP for agents. ``login`` is who they are, once they have proven it."""

    channel = "submission"

    def __init__(self, door: Doorway) -> None:
        super().__init__(door)
        assert door.settings.submission is not None     # the door chose this dialect by it
        self._submission: Submission = door.settings.submission
        self.login: str | None = None
        self._head = bytearray()

    def _extensions(self) -> list[str]:
        return super()._extensions() + ["AUTH PLAIN LOGIN"] * (self.secure and self.login is None)

    # --- AUTH -------------------------------------------------------------------------------

    async def _auth(self, argument: bytes) -> str:
        assert self.session is not None
        if not self.session.extended_smtp:
            return "503 5.5.1 Send EHLO first"
        if not self.secure:
            return "538 5.7.11 Encryption is required; send STARTTLS first"
        if self.login is not None or self._transaction is not None:
            return "503 5.5.1 Not now"
        mechanism, _, initial = argument.partition(b" ")
        ask = {b"PLAIN": self._plain, b"LOGIN": self._login}.get(mechanism.upper())
        if ask is None:
            return "504 5.5.4 Mechanisms are PLAIN and LOGIN"
        try:
            login, password = await ask(initial.strip(b" "))
        except _Refused as refused:
            return str(refused)
        return await self._try(login, password)

    async def _plain(self, initial: bytes) -> tuple[str, str]:
        """RFC 4616: authzid NUL authcid NUL passwd. To act as somebody else is not offered."""
        answer = _decoded(initial) if initial else await self._asked(b"")
        acts_for, _, rest = answer.partition("\0")
        login, nul, password = rest.partition("\0")
        if not nul or "\0" in password or not login or not password:
            raise _Refused(_SYNTAX)
        if acts_for not in ("", login):
            raise _Refused(_WRONG)
        return login, password

    async def _login(self, initial: bytes) -> tuple[str, str]:
        login = _decoded(initial) if initial else await self._asked(b"Username:")
        return login, await self._asked(b"Password:")

    async def _asked(self, prompt: bytes) -> str:
        await self.push(b"334 " + base64.b64encode(prompt))
        line = await self._read_line(self.loop.time() + self._limits.command_seconds)
        if line is None or len(line) > _MOST_ANSWER:
            raise _Refused("500 5.5.6 Authentication exchange line is too long")
        if line == b"*":    # RFC 4954 §4
            raise _Refused("501 5.7.0 Cancelled")
        return _decoded(line)

    async def _try(self, login: str, password: str) -> str:
        login, network = login.strip().casefold(), network_of(self.peer)
        known = self._submission.login_of(login)
        if not self._door.guesses.begin(network, known or login[:64]):
            log.warning("%s: connection %s: too many wrong passwords, login is paused", self.peer, self.id)
            raise Hangup("454 4.7.0 Too many wrong passwords, try again in some minutes")
        try:
            # An unknown login is checked, too: it shall take as long.
            right = await self.loop.run_in_executor(
                self._door.guards, self._door.users.check, known or "", password
            )
        except StateError as error:
            log.error("%s", error)
            return f"454 4.7.0 Temporary authentication failure ({self.id})"
        if not right or known is None:
            # What is no login of ours may be a password that was typed into the wrong field.
            log.warning("%s: connection %s: login failed for %s", self.peer, self.id, known or "an unknown login")
            self._counts["failures"] += 1
            await asyncio.sleep(self._limits.slow_seconds)
            if self._counts["failures"] >= _FAILURES:
                raise Hangup("421 4.7.0 Too many wrong passwords")
            return _WRONG
        self._door.guesses.right(network, known)
        self.login = known
        log.info("%s: connection %s: %s logged in", self.peer, self.id, known)
        return "235 2.7.0 Welcome"

    # --- Mail -------------------------------------------------------------------------------

    async def _mail(self, argument: bytes) -> str:
        if self.login is None:
            return f"530 5.7.0 {'Log in first' if self.secure else 'Send STARTTLS first'}"
        reply = await super()._mail(argument)
        if self._transaction is not None and reply.startswith("250"):
            mail_from = canonical(self._transaction.mail_from or "")
            if mail_from not in self._submission.addresses_of(self.login):
                self._transaction = None
                return f"553 5.7.1 {self.login} may not send from this address"
        return reply

    def _is_parameter(self, parameter: bytes) -> bool:
        return super()._is_parameter(parameter) or parameter.upper().startswith(b"AUTH=")   # RFC 4954 §5: ignored

    def _takes(self, address: str) -> bool:
        """Ours, or outside. Addresses of the reply domain are made by us: what we do not know there is nobody's."""
        return self._door.knows(address) or domain(address) not in self._submission.closed_domains

    async def _data(self, argument: bytes) -> str:
        transaction = self._transaction
        if transaction is not None and transaction.rcpt_tos and all(map(self._is_colleague, transaction.rcpt_tos)):
            self._transaction = None
            return "550 5.7.1 Only to colleagues: name a customer or a queue; this is no way for other mail"
        self._head.clear()
        return await super()._data(argument)

    def _is_colleague(self, address: str) -> bool:
        return not self._door.knows(address) and self._submission.is_agent(address)

    async def _keep(self, intake: Intake, text: bytes) -> None:
        if len(self._head) < HEADER:
            self._head += text[:HEADER]
        await super()._keep(intake, text)

    def _why_not(self) -> Permanent | None:
        found = fields(bytes(self._head[:HEADER])).get("from", ())
        named = {canonical(address) for line in found for address in addresses(line)}
        own = self._submission.addresses_of(self.login or "")
        if len(found) == 1 and len(named) == 1 and named <= own:
            return None
        return Permanent(550, "5.7.1", f"From must be one address of {self.login}, and stand near the top")

    def _envelope(self, transaction: Transaction) -> Envelope:
        return replace(super()._envelope(transaction), login=self.login, relay=None)

    VERBS: ClassVar[Mapping[bytes, Callable[[Any, bytes], Awaitable[str]]]] = {
        **Conversation.VERBS,
        b"AUTH": _auth,
        b"MAIL": _mail,
        b"DATA": _data,
    }


def _decoded(text: bytes) -> str:
    try:
        # RFC 4954 §4: "=" is an empty initial response.
        return base64.b64decode(b"" if text == b"=" else text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _Refused(_SYNTAX) from None

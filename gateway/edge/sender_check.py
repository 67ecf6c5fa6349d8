"""Our own look at who sent a mail: SPF, DKIM and DMARC, for mail that strangers hand to our SMTP door.

It happens once, before the mail is decided, and what it found is written down with the decision; nothing is asked
again by a replay. All answers about one mail together have some seconds; without them nothing is proven, as with any error.
It can only raise trust: mail that fails is a stranger's, as it would be without the look.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence

from gateway.core.address import canonical, domain
from gateway.core.authres import Authentication
from gateway.core.model import Envelope, Mail
from gateway.edge import dkim
from gateway.edge.dmarc import Walk
from gateway.edge.dns import Resolver, Unknown
from gateway.edge.spf import Spf

log = logging.getLogger(__name__)
AT_ONCE = 64    # mails that are asked about at the same time


class SenderCheck:
    """Asks for a batch at a time. Never raises: what goes wrong is a mail that nothing speaks for."""

    def __init__(self, resolver: Resolver, seconds: float) -> None:
        self._resolver, self._seconds = resolver, seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def check_many(self, mails: Sequence[tuple[Envelope, Mail, bytes]]) -> list[Authentication | None]:
        return list(await asyncio.gather(*(self._one(*each) for each in mails)))

    async def _one(self, envelope: Envelope, mail: Mail, raw: bytes) -> Authentication | None:
        if not concerns(envelope, mail):
            return None
        assert mail.sender is not None  # concerns looked
        name = domain(canonical(mail.sender.address))
        try:
            async with self._slots, asyncio.timeout(self._seconds):
                aligned, words = await self._look(envelope, name, raw)
        except TimeoutError:
            aligned, words = False, "temperror, the DNS did not answer in time"
        except Unknown as error:
            aligned, words = False, f"temperror, {error}"
        except Exception as error:
            log.exception("sender check failed")
            aligned, words = False, f"temperror, {type(error).__name__}"
        return Authentication(domain=name, aligned=aligned, words=f"our own check of {name}: {words}")

    async def _look(self, envelope: Envelope, name: str, raw: bytes) -> tuple[bool, str]:
        walk = Walk(self._resolver)
        policy = await walk.policy(name)
        if policy is None:
            return False, "dmarc=none, it publishes no DMARC record"
        signed, told = await self._dkim(envelope, name, raw, walk, strict=policy.tags.get("adkim") == "s")
        if signed:
            return True, f"dmarc=pass, {told}"
        spf, result = await self._spf(envelope, name, walk, strict=policy.tags.get("aspf") == "s")
        if spf:
            return True, f"dmarc=pass, {result}"
        return False, f"dmarc=fail, {told}, {result}"

    async def _dkim(self, envelope: Envelope, name: str, raw: bytes, walk: Walk, *, strict: bool) -> tuple[bool, str]:
        told = ["dkim=none"]
        try:
            fields, body = dkim.header_of(raw)
        except dkim.Bad as why:
            return False, f"dkim=permerror ({why})"
        for found in dkim.signatures(fields, envelope.received_at):
            if isinstance(found, dkim.Bad):
                told.append(f"dkim=permerror ({found})")
                continue
            if not _related(name, found.domain):
                told.append(f"dkim of {found.domain}, another's")
                continue
            records = await self._resolver.ask(found.key_name, "TXT")
            try:
                await asyncio.to_thread(dkim.verify, found, records, fields, body)
            except dkim.Bad as why:
                told.append(f"dkim=fail of {found.domain} ({why})")
                continue
            if await walk.aligned(name, found.domain, strict=strict):
                return True, f"dkim=pass of {found.domain}"
            told.append(f"dkim=pass of {found.domain}, which does not speak for {name}")
        return False, told[-1]

    async def _spf(self, envelope: Envelope, name: str, walk: Walk, *, strict: bool) -> tuple[bool, str]:
        # RFC 7208 §2.4: of a null path the name in EHLO counts.
        sender = domain(envelope.mail_from) if envelope.mail_from else envelope.helo.lower()
        if not sender or not _related(name, sender):
            return False, "spf of another domain"
        result = await Spf(self._resolver, ipaddress.ip_address(envelope.peer)).check(sender)
        aligned = result == "pass" and await walk.aligned(name, sender, strict=strict)
        return aligned, f"spf={result} of {sender}"


def concerns(envelope: Envelope, mail: Mail) -> bool:
    """Whether a look can change anything: one readable From, and a peer that is no relay of ours."""
    if envelope.channel != "smtp" or envelope.relay is not None or mail.sender is None or mail.ambiguous is not None:
        return False
    try:
        ipaddress.ip_address(envelope.peer)
    except ValueError:
        return False
    return "." in domain(mail.sender.address)


def _related(one: str, other: str) -> bool:
    """Whether they could have one organisation at all: this spares questions about others' domains."""
    if one == other:
        return True
    mine, theirs = one.split(".")[::-1], other.split(".")[::-1]
    return mine[:2] == theirs[:2]

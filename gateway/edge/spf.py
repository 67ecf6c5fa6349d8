"""Who may send for a domain: SPF (RFC 7208), as far as a pass can be relied on.

Only ``pass`` is of use to us (it may raise trust, nothing here lowers it), so what is rare or hard to judge ends as "no pass":
macros, ``ptr``, and anything that is not exactly of the grammar. The limits of §4.6.4 hold: ten terms that ask, two void
answers, ten hosts of an MX.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from gateway.edge.dns import Resolver

_TERM = re.compile(r"([+?~-]?)([a-z0-9]+)(?::([^/\s]+))?((?:/[0-9]{1,3})?(?://[0-9]{1,3})?)", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(\S*)", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9])?", re.IGNORECASE)
MOST_ASKING, MOST_VOID, MOST_HOSTS = 10, 2, 10
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PermError(Exception):
    """The record is wrong, asks too much, or says what we do not judge (§2.6.7)."""


@dataclass(slots=True)
class Spf:
    """One evaluation: ``check`` says pass, fail, softfail, neutral, none or permerror. Unknown of the DNS goes through."""

    resolver: Resolver
    peer: Address
    asked: int = 0
    void: int = 0
    seen: set[str] = field(default_factory=set)

    async def check(self, domain: str) -> str:
        try:
            return await self._host(domain.lower(), first=True)
        except PermError:
            return "permerror"

    async def _host(self, domain: str, *, first: bool = False) -> str:
        if not _DOMAIN.fullmatch(domain):
            raise PermError(domain)
        texts = await self.resolver.ask(domain, "TXT")
        records = [t for t in texts if t.lower() == "v=spf1" or t.lower().startswith("v=spf1 ")]
        if len(records) != 1:
            if records or not first:
                raise PermError(domain)     # §4.5, §5.2
            return "none"
        terms = records[0].split()[1:]
        redirect = ""
        for term in terms:
            if (modifier := _MODIFIER.fullmatch(term)) and ":" not in modifier[1]:
                if modifier[1].lower() == "redirect":
                    if redirect:
                        raise PermError(term)
                    redirect = modifier[2]
                continue
            found = _TERM.fullmatch(term)
            if found is None or "%" in term:
                raise PermError(term)
            if await self._matches(found[2].lower(), found[3], found[4], domain):
                return {"-": "fail", "~": "softfail", "?": "neutral"}.get(found[1], "pass")
        if redirect:
            self._count(redirect)
            return await self._host(redirect.lower())
        return "neutral"

    async def _matches(self, name: str, value: str | None, cidr: str, domain: str) -> bool:
        if name == "all" and value is None and not cidr:
            return True
        if name in ("ip4", "ip6") and value is not None:
            return self._in_network(name, value, cidr)
        if name == "include" and value is not None and not cidr:
            self._count(value)
            return await self._host(value.lower()) == "pass"
        if name in ("a", "mx"):
            self._count(name)
            return await self._hosts(name, (value or domain).lower(), cidr)
        if name == "exists" and value is not None and not cidr:
            self._count(value)
            return bool(await self._ask(value.lower(), "A"))
        raise PermError(name)

    async def _hosts(self, name: str, target: str, cidr: str) -> bool:
        hosts = [target]
        if name == "mx":
            hosts = await self.resolver.ask(_checked(target), "MX")
            self._note(hosts)
            if len(hosts) > MOST_HOSTS:
                raise PermError(target)
        kind = "A" if self.peer.version == 4 else "AAAA"
        four, _, six = cidr.partition("//")
        bits = _bits(four.lstrip("/"), 32) if self.peer.version == 4 else _bits(six, 128)
        for host in hosts:
            answers = await self.resolver.ask(_checked(host), kind)  # type: ignore[arg-type]
            if name == "a":
                self._note(answers)
            for answer in answers:
                if self.peer in ipaddress.ip_network(f"{answer}/{bits}", strict=False):
                    return True
        return False

    async def _ask(self, name: str, kind: str) -> list[str]:
        answers = await self.resolver.ask(_checked(name), kind)  # type: ignore[arg-type]
        self._note(answers)
        return answers

    def _in_network(self, name: str, value: str, cidr: str) -> bool:
        try:
            network = ipaddress.ip_network(f"{value}{cidr}", strict=False)
        except ValueError:
            raise PermError(value) from None
        if network.version != (4 if name == "ip4" else 6):
            raise PermError(value)
        return self.peer in network

    def _count(self, what: str) -> None:
        self.asked += 1
        if self.asked > MOST_ASKING:
            raise PermError(what)

    def _note(self, answers: list[str]) -> None:
        self.void += not answers
        if self.void > MOST_VOID:
            raise PermError("too many void answers")


def _checked(name: str) -> str:
    if not _DOMAIN.fullmatch(name):
        raise PermError(name)
    return name


def _bits(text: str, most: int) -> int:
    if not text:
        return most
    if int(text) > most:
        raise PermError(text)
    return int(text)

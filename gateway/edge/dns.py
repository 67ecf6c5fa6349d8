"""Questions to the DNS, asked without blocking; what has no answer is empty, what may have one later is ``Unknown``.

Standards: RFC 1035; RFC 7208 §4.4 and RFC 9989 tell apart "no such record" and "nobody answered".
"""

from __future__ import annotations

from typing import Literal, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

from gateway.errors import StateError

Kind = Literal["TXT", "A", "AAAA", "MX"]


class Unknown(Exception):
    """Nobody answered, or not in a way to rely on."""


class Resolver(Protocol):
    async def ask(self, name: str, kind: Kind) -> list[str]:
        """The records as text (MX: the names of the hosts); [] if there are none. Raises Unknown."""
        ...


class SystemResolver:
    """The resolvers of this machine."""

    def __init__(self, seconds: float) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise StateError('this machine names no DNS server; write /etc/resolv.conf, or check = "off" under [dns]') from error
        self._resolver.lifetime = seconds
        self._resolver.cache = dns.resolver.LRUCache(10_000)

    async def ask(self, name: str, kind: Kind) -> list[str]:
        try:
            answer = await self._resolver.resolve(f"{name}.", kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError, ValueError) as error:    # ValueError: no name at all
            raise Unknown(f"{kind} of {name}: {type(error).__name__}") from error
        if kind == "TXT":
            # RFC 7208 §3.3, RFC 6376 §3.6.2.2: the strings of a record are one text.
            return [b"".join(record.strings).decode("latin-1") for record in answer]
        if kind == "MX":
            return [str(r.exchange).rstrip(".") for r in sorted(answer, key=lambda r: int(r.preference))]
        return [str(record.address) for record in answer]

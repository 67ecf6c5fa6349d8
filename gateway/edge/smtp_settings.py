"""What a door is told: its name, its limits, its certificate. Defaults are those of DECISIONS.md."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may take of us; times in seconds. Relays have a pool of connections of their own."""

    connections: int = 200
    connections_per_network: int = 20  # IPv4 address or IPv6 /64
    relay_connections: int = 200
    command_seconds: float = 60.0
    session_seconds: float = 1800.0
    tls_seconds: float = 10.0
    idle_seconds: float = 60.0  # of silence during DATA
    data_seconds: float = 1800.0
    min_rate: float = 500.0  # bytes a second on average, after the first idle_seconds
    command_octets: int = 1024  # RFC 5321 §4.5.3.1.4 says 512; parameters and long paths come on top
    recipients: int = 50  # a mail; the sender brings the rest in another one
    overshoot: int = 1000  # recipients refused with 452 before we hang up
    unknown: int = 10  # recipients, from others than relays
    junk: int = 100  # commands without a mail
    errors_slow: int = 10
    errors_close: int = 20
    slow_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who may log in at a door, and as whom they may write. ``agents`` is (login, canonical addresses)."""

    users_file: Path
    agents: tuple[tuple[str, tuple[str, ...]], ...]
    closed_domains: frozenset[str] = frozenset()    # only addresses we know exist there
    implicit: bool = True                           # TLS from the first octet (RFC 8314 §3.3), else STARTTLS

    def login_of(self, name: str) -> str | None:
        """The login that a mail program calls ``name``: itself, or an address of the agent."""
        return next((login for login, addresses in self.agents if name == login or name in addresses), None)

    def addresses_of(self, login: str) -> frozenset[str]:
        return frozenset(a for known, addresses in self.agents for a in addresses if known == login)

    def is_agent(self, address: str) -> bool:
        return any(address in addresses for _, addresses in self.agents)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """``hostname`` stands in the greeting and behind the bare <postmaster>."""

    hostname: str
    max_size: int = 26_214_400
    tls: ssl.SSLContext | None = None
    lmtp: bool = False
    limits: Limits = field(default_factory=Limits)
    socket_mode: int = 0o660  # of a Unix-domain socket
    submission: Submission | None = None  # agents log in here


def network_of(peer: str) -> str:
    """The network that limits count: an IPv4 address or an IPv6 /64."""
    if ":" not in peer:
        return peer
    return str(ipaddress.IPv6Network((peer.partition("%")[0], 64), strict=False))

"""What a door is told: its name, its limits, its certificate. Defaults are those of DECISIONS.md."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


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
class DoorSettings:
    """``hostname`` stands in the greeting and behind the bare <postmaster>."""

    hostname: str
    max_size: int = 26_214_400
    tls: ssl.SSLContext | None = None
    lmtp: bool = False
    limits: Limits = field(default_factory=Limits)
    socket_mode: int = 0o660  # of a Unix-domain socket

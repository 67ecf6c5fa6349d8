"""What a watched mailbox is told: where it is, who we are there, how long to wait.

Standards: RFC 8314 (implicit TLS), RFC 2177 (IDLE ends within 29 minutes; NATs forget after ten).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

from gateway.edge.oauth import OAuthSettings

MAX_IDLE = 540.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds and octets; the defaults find a dead server and are back at a live one within a minute."""

    connect: float = 30
    silence: float = 50         # a command without a single octet in answer
    slowest: int = 8192         # octets a second below which an answer is given up
    first_delay: float = 1      # doubled after each failure …
    last_delay: float = 60      # … up to this
    breath: float = 0.2         # between a push and our look, so that a chatty server cannot drive us
    rescan: float = 3600
    lot: int = 4 << 20          # octets of mail asked for in one command


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxSettings:
    """One ``[[mailbox]]``. ``name`` is the operator's word for it and the ``relay`` of its envelopes.

    ``start`` says what becomes of mail that lies there at the first contact. The Sent folder always
    starts with what is new, and nothing is changed in it.
    """

    name: str
    host: str
    username: str
    port: int = 993
    tls: Literal["implicit", "none"] = "implicit"
    cafile: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuthSettings | None = None
    folder: str = "INBOX"
    sent_folder: str | None = None
    move_to: str | None = None
    start: Literal["all", "new"] = "all"
    poll_seconds: float = 300
    idle_seconds: float = MAX_IDLE
    max_size: int = 26_214_400
    batch: int = 50
    pace: Pace = Pace()

    def __post_init__(self) -> None:
        if self.tls == "none" and not loopback(self.host):
            raise ValueError(f"mailbox {self.name}: tls = none: passwords go only to 127.0.0.1 unencrypted, use implicit")
        if (self.password is None) == (self.oauth is None):
            raise ValueError(f"mailbox {self.name}: give a password or oauth, and not both")
        if not 1 <= self.batch <= 100:
            raise ValueError(f"mailbox {self.name}: batch = {self.batch}: use 1 to 100, so that answers stay short")
        if not 0 < self.idle_seconds <= MAX_IDLE:
            raise ValueError(f"mailbox {self.name}: idle_seconds = {self.idle_seconds}: use at most {MAX_IDLE:.0f}")


def loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its name or number alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

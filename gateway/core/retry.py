"""What became of an attempt to send, and when to try again. Standards: RFC 5321 §4.5.4.1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Outcome = Literal[
    "sent",  # the other side took the mail
    "deferred",  # it did not, this time; nothing to alarm anybody about
    "failed",  # it never will
    "uncertain",  # we wrote the final dot and heard nothing certain: try again, same bytes
    "misconfigured",  # our fault (TLS, login): the mail waits, the operator is told
]

# How long to wait after the first, second, … attempt; after that always the last.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 240, 480))
LIFETIME = timedelta(days=5)
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class SendResult:
    """An outcome with the last words of the other side (or ours), fit for ``Delivery.reply``."""

    outcome: Outcome
    reply: str


def next_attempt(attempts: int, created_at: datetime, now: datetime, spread: float) -> datetime | None:
    """When to try a mail again that was tried ``attempts`` times; None = give up.

    ``spread`` in [-1, 1] is the caller's random number: a wait varies by ±10 %, so that the mails of
    one outage do not all come back at the same second. The last attempt is at the end of the five
    days. Age alone ends nothing: after an outage of ours or a jump of the clock, a mail still gets
    the whole rising part of the schedule.
    """
    if attempts <= 0:
        return now
    wait = WAITS[min(attempts, len(WAITS)) - 1] * (1 + JITTER * spread)
    end = created_at + LIFETIME
    if attempts <= len(WAITS):
        return now + wait
    return min(now + wait, end) if now < end else None

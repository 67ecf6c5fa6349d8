"""What became of an attempt to send, and when to try again. Standards: RFC 5321 §4.5.4.1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gateway.core.model import OutgoingKind
from gateway.core.rows import Delivery

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
LATE = timedelta(hours=1)       # an answer that takes longer is worth a word to its writer


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


def is_late(kind: OutgoingKind, created_at: datetime, state: Delivery) -> bool:
    """Whether the writer of this mail must hear that it is late: an answer, put off beyond the hour, once.

    Only what the other side said of this mail (4yz) counts. While nobody answers at all the word to the
    agent would wait in the same queue, to arrive with the answer or after it.
    """
    put_off = state.state == "deferred" and state.reply.startswith("4")
    return kind == "reply" and put_off and state.told_at is None and state.next_at - created_at >= LATE


def settled(before: Delivery | None, after: Delivery) -> Delivery:
    """What stands after an attempt to send: a report that came in meanwhile knows more than we do."""
    return after if before is None or before.state == "sending" else before

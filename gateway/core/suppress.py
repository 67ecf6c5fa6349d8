"""Dead addresses: when we stop writing to somebody, and when we begin again.

Standards: RFC 3463 (status codes), RFC 7505 (5.1.10). What a status says of an address:

    dead      no such mailbox, domain or address at all: one proven report is enough
    doubtful  any other lasting refusal of the mailbox, its host or the way there: three in 7 days
    ''        nothing: it speaks of the mail, of us or of a policy, or it will pass (4.x)

5.2.1 (mailbox disabled) is doubtful only: RFC 3463 §3.3 says that the mailbox exists, and it may be enabled again.

A report is a stranger's text, so it stops mail to nobody but the person we sent that very mail to. Mail to
agents is never stopped, they would be cut off without knowing; a colleague is told instead (core/failure.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

from gateway.core.context import Context
from gateway.core.decision import Draft
from gateway.core.identity import PROVES_SENDER
from gateway.core.ledger import Ledger
from gateway.core.model import Facts
from gateway.core.policy import Policy
from gateway.core.rows import Rows, Suppression

SPAN: Final = timedelta(days=7)
MOST: Final = 3                 # failures within SPAN
# No mailbox, no host, no such syntax, moved away, a domain that takes no mail.
DEAD: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
# Our sender address, the size or the kind of the mail, the protocol, a policy.
NOT_THE_ADDRESS: Final = ("5.1.7", "5.1.8", "5.1.9", "5.2.3", "5.3.4", "5.5.", "5.6.", "5.7.")


def verdict(status: str) -> Literal["dead", "doubtful", ""]:
    """What an RFC 3463 ``status`` says of the recipient's address; nothing if it is ''."""
    if status in DEAD:
        return "dead"
    return "doubtful" if status.startswith("5.") and not status.startswith(NOT_THE_ADDRESS) else ""


def condemned(person: int, status: str, *, proven: bool, ledger: Ledger) -> bool:
    """Whether one more failure shows that this person's address is dead.

    ``proven``: by something that only the mail's own way knew. Others count as doubtful at most: a
    Message-ID stands in the References of every answer, where anybody on copy reads it.
    """
    said, known = verdict(status), ledger.suppression(person)
    if said == "dead" and proven:
        return True
    # What was before a revival was forgiven.
    begin = max(filter(None, (ledger.now - SPAN, known.revived_at if known else None)))
    earlier = [b for b in ledger.context.bounces.get(person, ()) if b.at > begin and verdict(b.status)]
    return said != "" and len(earlier) + 1 >= MOST


def stopped(person: int | None, ledger: Ledger, policy: Policy) -> Suppression | None:
    """Why we do not write to a person now; None if we do."""
    row = ledger.suppression(person) if person is not None else None
    if row is None or row.revived_at is not None or policy.agent_of_address(ledger.address(row.person)) is not None:
        return None
    return row


def why(row: Suppression, ledger: Ledger) -> str:
    return f"we do not write to {ledger.address(row.person)} since {day(row.since)} ({row.status})"


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def withhold(drafts: Iterable[Draft], ledger: Ledger, policy: Policy) -> tuple[list[Draft], list[Draft]]:
    """The drafts that may go, and those to dead addresses, which are named in the reasons."""
    go: list[Draft] = []
    stay: list[Draft] = []
    for draft in drafts:
        row = stopped(draft.recipient, ledger, policy)
        (go if row is None else stay).append(draft)
        if row is not None:
            ledger.why("suppressed", f"{draft.kind} not sent: {why(row, ledger)}")
    return go, stay


def revive(row: Suppression, ledger: Ledger) -> None:
    ledger.suppress(replace(row, revived_at=ledger.now, revived_by=ledger.cause))


def returned(facts: Facts, ledger: Ledger) -> int | None:
    """The writer of this mail, if he is alive by it though his address was thought dead.

    From alone may be forged; somebody who names a mail or a reply address that went to him has got it.
    """
    person = ledger.context.person_ids.get(facts.identity.address)
    row = ledger.suppression(person) if person is not None else None
    if row is None or row.revived_at is not None or facts.mail_class != "human":
        return None
    match = facts.match
    answers = match.signal in ("token", "signed_id") and match.party == person
    if facts.identity.level not in PROVES_SENDER and not answers:
        return None
    revive(row, ledger)
    ledger.why("revived", f"{facts.identity.address} writes to us again: {match.why if answers else facts.identity.why}")
    return person


def revived_by_operator(address: str, context: Context, by: str, now: datetime) -> Rows:
    """The rows of ``mailwicket revive``; none if the address is not suppressed."""
    person = context.person(address)
    row = context.suppressions.get(person.id) if person else None
    if row is None or row.revived_at is not None:
        return Rows()
    return Rows(suppressions=(replace(row, revived_at=now, revived_by=by),))

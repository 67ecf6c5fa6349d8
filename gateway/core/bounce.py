"""A delivery report: what it does to the mail of ours that it speaks of, and to nothing else.

Standards: RFC 3464 §2.3.3 (actions). A report of success or delay counts only for mail that is out of our
hands; it never stops an attempt to send, nor makes one. Failure is final, whatever comes after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core import failure
from gateway.core.case import Case, store
from gateway.core.context import SentMail
from gateway.core.decision import Decision, Draft
from gateway.core.model import OutboxState, Report
from gateway.core.profile import read_return
from gateway.core.retry import LATE
from gateway.core.rows import Delivery
from gateway.core.token import read_mark

# What the other side may have taken; "sending" is not yet written down as sent.
OUT: Final[frozenset[OutboxState]] = frozenset({"sending", "sent", "uncertain", "delayed"})


def is_report(case: Case) -> bool:
    """Bounces, and the receipts that are reports of successful delivery."""
    return case.facts.mail_class == "bounce" or bool(case.facts.bounces)


def report(case: Case) -> Decision:
    """The outbox row that the report proves to speak of changes; its ticket and its writer hear of it."""
    sent = case.context.outbox.get(case.facts.bounced_outbox or 0)
    if sent is None:
        case.ledger.why("unmatched_bounce", "it names no mail of ours by address or Message-ID")
        return store(case, "log", ticket=None)
    said = _about(case, sent)
    known = case.context.living(sent.ticket) if sent.ticket is not None else None
    ticket = known.id if known is not None else None
    words = f"outbox {sent.id} to {said.recipient or 'its recipient'}: {said.status}"
    before = failure.state_of(sent)
    if before in failure.FINAL or (before not in OUT and not said.final):
        case.ledger.why("reported_before", f"{words}; it is {before} already")
        return store(case, "log", ticket=None)
    if said.delivered:
        case.ledger.why("delivered", words)
        return store(case, "log", ticket=None, deliveries=[_delivery(case, sent, said, "sent")])
    message = case.ledger.new_message()
    after: OutboxState = "bounced" if said.final else "delayed"
    case.ledger.why(after, words)
    drafts = _told(case, sent, said, ticket, message)
    delivery = _delivery(case, sent, said, after)
    if any(draft.kind == "delayed_notice" for draft in drafts):
        delivery = replace(delivery, told_at=case.ledger.now)
    return store(case, "apply", ticket=ticket, message=message, drafts=drafts, deliveries=[delivery])


def _told(case: Case, sent: SentMail, said: Report, ticket: int | None, message: int) -> list[Draft]:
    # The address we wrote to, not what the report calls it.
    ours = case.ledger.address(sent.recipient)
    known = replace(said, recipient=ours or said.recipient)
    if said.final:
        # A list or a forwarder passed it on, and one of many behind it is gone: the address itself may be well.
        about = said.recipient.casefold() in ("", ours)
        return failure.lost(
            sent, ticket, known, message, about=about, proven=_proven(case, sent), ledger=case.ledger, policy=case.policy
        )
    if ticket is None:
        return []
    old = case.ledger.now - sent.created_at >= LATE
    return failure.late(sent, ticket, known, message, tell=old, ledger=case.ledger, policy=case.policy)


def _about(case: Case, sent: SentMail) -> Report:
    """The one report of several that counts: of our recipient, else the gravest (a forwarder may name others)."""
    said = case.facts.bounces or (Report(recipient="", status="", permanent=True),)
    ours = case.ledger.address(sent.recipient)
    return min(said, key=lambda r: (r.recipient.casefold() != ours, not r.final, r.delivered))


def _proven(case: Case, sent: SentMail) -> bool:
    """It came to the return path, which only the way of that very mail knows; a mailbox has but the mark it returns."""
    envelope, policy = case.spooled.envelope, case.policy
    if envelope.channel == "imap":
        return read_mark(policy.keys, case.spooled.mail.original_mark) == sent.id
    return sent.id in (read_return(rcpt, policy) for rcpt in envelope.rcpt_tos)


def _delivery(case: Case, sent: SentMail, said: Report, state: OutboxState) -> Delivery:
    now, before = case.ledger.now, sent.delivery
    return Delivery(
        outbox=sent.id, state=state, attempts=before.attempts if before else 1, next_at=now, changed_at=now,
        reply=f"{said.status} {said.diagnostic}".strip()[:500], told_at=before.told_at if before else None,
    )

"""A mail of ours that the other side refused for good: the ticket remembers, its writer is told once."""

from __future__ import annotations

import re
from datetime import datetime

from gateway.core import relay
from gateway.core.context import Context
from gateway.core.decision import Decision, Draft
from gateway.core.ledger import Ledger
from gateway.core.model import OutgoingKind, Report
from gateway.core.policy import Agent, Policy

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


def given_up(
    outbox: int, kind: OutgoingKind, ticket: int, recipient: int, reply: str, *,
    context: Context, policy: Policy, now: datetime,
) -> Decision:
    """What an outbox row that has failed does to its ticket. ``reply`` are the last words of the other side."""
    ledger = Ledger(context, f"outbox:{outbox}", now, now)
    found = _STATUS.search(reply)
    report = Report(
        recipient=ledger.address(recipient), status=found.group(1) if found else "5.0.0", permanent=True,
        diagnostic=reply,
    )
    ledger.event(ticket, "bounced", actor=recipient, actor_kind="system", is_auto=True, after=report.status)
    drafts: tuple[Draft, ...] = ()
    agent = writer(ticket, ledger, policy)
    if kind == "reply" and agent is not None:
        drafts = (relay.undelivered(ticket, agent, report, None, ledger, policy),)
    return Decision(
        spool_id=f"outbox:{outbox}", disposition="apply", rows=ledger.close(), drafts=drafts, reasons=()
    )


def writer(ticket: int, ledger: Ledger, policy: Policy) -> Agent | None:
    """Who is told that an answer did not arrive: who gave it, else the first reader of the ticket."""
    state = ledger.ticket(ticket)
    known = policy.agent_of_address(ledger.address(state.last_agent)) if state.last_agent is not None else None
    readers = relay.readers(state, ledger, policy)
    return known or (readers[0] if readers else None)

"""Mail of ours that did not arrive, or not yet: the ticket remembers, the writer of an answer is told once.

Both ways of hearing of it come here: a refusal when we send, and a report afterwards (core/bounce.py).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from gateway.core import relay, suppress
from gateway.core.authority import sees
from gateway.core.context import Context, SentMail
from gateway.core.decision import Decision, Draft
from gateway.core.ledger import Ledger
from gateway.core.model import OutboxState, Report
from gateway.core.policy import Agent, Policy
from gateway.core.rows import DecisionRow, Suppression

FINAL: Final[frozenset[OutboxState]] = frozenset({"failed", "bounced"})
TOLD_AGAIN: Final = timedelta(days=1)       # between two words about one agent's dead address
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


def state_of(sent: SentMail) -> OutboxState:
    return sent.delivery.state if sent.delivery else "queued"


def given_up(sent: SentMail, ticket: int, reply: str, *, context: Context, policy: Policy, now: datetime) -> Decision:
    """What an outbox row that has failed does to its ticket. ``reply`` are the last words of the other side.

    Nothing if a report of its failure came first.
    """
    ledger = Ledger(context, f"outbox:{sent.id}", now, now)
    drafts = [] if state_of(sent) in FINAL else lost(
        sent, ticket, _said(reply, sent, ledger), None, about=True, proven=True, ledger=ledger, policy=policy
    )
    return _decision(ledger, ticket, drafts, policy)


def overdue(sent: SentMail, ticket: int, reply: str, *, context: Context, policy: Policy, now: datetime) -> Decision:
    """What an answer does that our smarthost has put off for too long (core/retry.is_late)."""
    ledger = Ledger(context, f"outbox:{sent.id}", now, now)
    drafts = late(sent, ticket, _said(reply, sent, ledger), None, tell=True, ledger=ledger, policy=policy)
    return _decision(ledger, ticket, drafts, policy)


def lost(
    sent: SentMail, ticket: int | None, report: Report, message: int | None,
    *, about: bool, proven: bool, ledger: Ledger, policy: Policy,
) -> list[Draft]:
    """A mail is lost for good: an event, perhaps the end of its address, word to the writer of an answer.

    ``about``: the report speaks of the address we wrote to; ``proven`` as in suppress.condemned.
    """
    person = sent.recipient
    gone = about and suppress.condemned(person, report.status, proven=proven, ledger=ledger)
    if ticket is None:
        return _stop(sent, None, report, ledger, policy) if gone else []
    ledger.event(
        ticket, "bounced", actor=person, actor_kind="system", message=message, is_auto=True, after=report.status or None
    )
    drafts = _stop(sent, ticket, report, ledger, policy) if gone else []
    agent = writer(ticket, ledger, policy)
    if sent.kind in ("reply", "vendor") and agent is not None:
        stopped = suppress.stopped(person, ledger, policy) is not None
        drafts.append(relay.undelivered(ticket, agent, report, message, ledger, policy, stopped=stopped))
    return drafts


def late(
    sent: SentMail, ticket: int, report: Report, message: int | None, *, tell: bool, ledger: Ledger, policy: Policy
) -> list[Draft]:
    """A mail is late: an event the first time, and one word to the writer of an answer once it is worth telling."""
    if state_of(sent) != "delayed":
        ledger.event(
            ticket, "delayed", actor=sent.recipient, actor_kind="system", message=message, is_auto=True,
            after=report.status or "4.0.0",
        )
    told = sent.delivery is not None and sent.delivery.told_at is not None
    agent = writer(ticket, ledger, policy)
    if sent.kind not in ("reply", "vendor") or told or not tell or agent is None:
        return []
    return [relay.undelivered(
        ticket, agent, report, message, ledger, policy, kind="delayed_notice", template="delayed_notice",
        written_at=sent.created_at.strftime("%Y-%m-%d %H:%M UTC"),
    )]


def writer(ticket: int, ledger: Ledger, policy: Policy) -> Agent | None:
    """Who is told that an answer did not arrive: who gave it, else the first reader of the ticket."""
    state = ledger.ticket(ticket)
    known = policy.agent_of_address(ledger.address(state.last_agent)) if state.last_agent is not None else None
    readers = relay.readers(state, ledger, policy)
    return known if known is not None and sees(known, state.queue) else readers[0] if readers else None


def _stop(sent: SentMail, ticket: int | None, report: Report, ledger: Ledger, policy: Policy) -> list[Draft]:
    """No more mail to a customer's dead address; of an agent's a colleague is told, once a day."""
    person, address = sent.recipient, ledger.address(sent.recipient)
    known = ledger.suppression(person)
    if known is not None and known.revived_at is not None:
        known = None
    agent = policy.agent_of_address(address)
    if known is not None and (agent is None or ledger.now - known.since < TOLD_AGAIN):
        return []
    ledger.suppress(Suppression(person=person, since=ledger.now, status=report.status, cause=ledger.cause))
    if agent is None:
        if ticket is not None:
            ledger.event(
                ticket, "suppressed", actor=person, actor_kind="system", is_auto=True, after=report.status
            )
        ledger.why("suppressed", f"{address} is dead: {report.status}")
        return []
    ledger.why("agent_unreachable", f"{agent.login} at {address}: {report.status}; correct [[agent]] address")
    other = _colleague(agent, ticket, ledger, policy)
    if ticket is None or other is None:
        return []
    return [relay.undelivered(ticket, other, report, None, ledger, policy, template="agent_unreachable", login=agent.login)]


def _colleague(agent: Agent, ticket: int | None, ledger: Ledger, policy: Policy) -> Agent | None:
    """Who can set an agent's address right: leads and admins first, then those of the queue, then anybody."""
    name = ledger.ticket(ticket).queue if ticket is not None else policy.queues[0].name
    queue = policy.queue(name).agents

    def rank(one: Agent) -> int:
        return 0 if one.role in ("lead", "admin") else 1 if one.login in queue else 2

    dead = {ledger.address(p) for p, row in ledger.context.suppressions.items() if row.revived_at is None}
    fit = (a for a in policy.agents if a.login != agent.login and a.address not in dead and sees(a, name))
    return min(fit, key=rank, default=None)


def _said(reply: str, sent: SentMail, ledger: Ledger) -> Report:
    """The other side's words as a report. RFC 3463 §2: x.0.0 if only the class is known; ours have no class."""
    found = _STATUS.search(reply)
    status = found.group(1) if found else f"{reply[0]}.0.0" if re.match(r"[45]\d\d\b", reply) else ""
    return Report(recipient=ledger.address(sent.recipient), status=status, permanent=True, diagnostic=reply)


def _decision(ledger: Ledger, ticket: int, drafts: list[Draft], policy: Policy) -> Decision:
    kept, _ = suppress.withhold(drafts, ledger, policy)
    reasons = tuple(
        DecisionRow(spool_id=ledger.cause, ordinal=n, ticket=ticket, code=r.code, detail=r.detail)
        for n, r in enumerate(ledger.reasons)
    )
    return Decision(
        spool_id=ledger.cause, disposition="apply", rows=ledger.close(decisions=reasons), drafts=tuple(kept),
        reasons=tuple(ledger.reasons),
    )

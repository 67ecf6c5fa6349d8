"""A pending ticket whose time has come: it is open again, and its agents are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.core import relay
from gateway.core.act_state import set_status
from gateway.core.actor import Actor
from gateway.core.context import Context
from gateway.core.decision import Decision
from gateway.core.ledger import Ledger
from gateway.core.policy import Policy
from gateway.core.relay import Author
from gateway.core.rows import DecisionRow

CAUSE: Final = "timer"


def woken(ticket: int, *, context: Context, policy: Policy, now: datetime) -> Decision | None:
    """What happens to a ticket that waits until ``now`` or before; None if it does not wait any more."""
    state = context.tickets.get(ticket)
    if state is None or state.status != "pending" or state.pending_until is None or state.pending_until > now:
        return None
    ledger = Ledger(context, CAUSE, now, now)
    set_status(ledger, ticket, "open", Actor(kind="system", person=None))
    ledger.why("woken", f"{relay.key_of(ticket, policy)} was pending until {state.pending_until:%Y-%m-%d %H:%M} UTC")
    last = context.stored.get(state.last_public or 0)
    agents = relay.readers(state, ledger, policy)
    drafts = relay.handed(
        agents, ticket, last.message.id if last else 0, last, Author(person=None, name=policy.queue(state.queue).from_name, address=""),
        ledger, policy, to_queue=False,
    )
    reasons = tuple(
        DecisionRow(spool_id=CAUSE, ordinal=n, ticket=ticket, code=r.code, detail=r.detail) for n, r in enumerate(ledger.reasons)
    )
    return Decision(
        spool_id=CAUSE, disposition="apply", rows=ledger.close(decisions=reasons),
        drafts=tuple(replace(d, template="woken", automatic="auto-generated") for d in drafts), reasons=tuple(ledger.reasons),
    )

"""An agent's digest: his tickets and nobody's, numbered, so that a mail can answer them (core/control.py).

The numbers are those of this one mail: table ``listed`` ties them to its outbox row, so an old digest's numbers go on to mean
its own tickets. Below them stand mails that belong to no ticket (architecture rulings 6 and 7), and the agent's own
mails that wait. What an agent may not see is not asked for by the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.core import tell
from gateway.core.context import Context
from gateway.core.decision import Decision
from gateway.core.desk_mail import desk_mail
from gateway.core.ledger import Ledger
from gateway.core.policy import Agent, Policy
from gateway.core.rows import Ticket
from gateway.core.rows_beside import DigestRun
from gateway.core.subject import header_text

MOST_TICKETS: Final = 40        # of each sort; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """A mail that no ticket has: an absence notice, a held mail."""

    at: datetime
    sender: str
    subject: str
    what: str                       # its class, or why it is held


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What the store found for one agent: numbers of tickets, most urgent first; and how many there are of each sort."""

    mine: tuple[int, ...] = ()
    nobodys: tuple[int, ...] = ()
    all_mine: int = 0
    all_nobodys: int = 0
    waiting: tuple[int, ...] = ()   # tickets on which a mail of this agent is held
    loose: tuple[Loose, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.mine or self.nobodys or self.waiting or self.loose)


def addresses(agent: Agent) -> frozenset[str]:
    """Who the agent is to the store: for Needs."""
    return frozenset(agent.addresses)


def digest(
    agent: Agent, agenda: Agenda, context: Context, policy: Policy, *, cause: str, offset: int, now: datetime
) -> Decision:
    """The mail, if there is anything to tell, and the mark that it is done. ``offset``: minutes east of UTC where he is.

    ``context`` has all tickets of ``agenda`` and the agent's person.
    """
    ledger = Ledger(context, cause, now, now)
    person = ledger.person(agent.address, agent.name)
    mine, nobodys = _seen(agenda.mine, agent, context, policy), _seen(agenda.nobodys, agent, context, policy)
    numbered = [*mine, *nobodys]
    values: dict[str, object] = {
        "name": agent.name, "day": f"{now + timedelta(minutes=offset):%Y-%m-%d}", "count": len(numbered),
        "mine": _rows(mine, 1, ledger, policy, now), "nobodys": _rows(nobodys, len(mine) + 1, ledger, policy, now),
        "more_mine": max(0, agenda.all_mine - len(mine)), "more_nobodys": max(0, agenda.all_nobodys - len(nobodys)),
        "waiting": [f"{policy.key}-{n}" for n in agenda.waiting],
        "loose": [
            {"at": f"{each.at + timedelta(minutes=offset):%m-%d %H:%M}", "sender": header_text(each.sender, 80),
             "subject": header_text(each.subject, 80), "what": each.what.replace("_", " ")} for each in agenda.loose
        ],
    }
    drafts = [] if agenda.is_empty else [desk_mail(
        "digest", agent, ledger, policy, template="digest", subject=_subject(agent, values), values=values,
        listed=tuple((n, t.id, t.version) for n, t in enumerate(numbered, start=1)),
    )]
    ledger.why("digest", f"{agent.login}: {len(numbered)} tickets" if drafts else f"{agent.login}: nothing to tell")
    rows = ledger.close(digest_runs=(DigestRun(person=person, at=now),))
    return Decision(spool_id=cause, disposition="apply", rows=rows, drafts=tuple(drafts), reasons=tuple(ledger.reasons))


def _seen(numbers: Iterable[int], agent: Agent, context: Context, policy: Policy) -> list[Ticket]:
    found = (context.tickets.get(n) for n in numbers)
    return [t for t in found if t is not None and tell.sees(agent, t, policy)]


def _subject(agent: Agent, values: dict[str, object]) -> str:
    german = agent.language.partition("-")[0].casefold() == "de"
    return f"Ihre Tickets am {values['day']}" if german else f"Your tickets on {values['day']}"


def _rows(tickets: Iterable[Ticket], first: int, ledger: Ledger, policy: Policy, now: datetime) -> list[dict[str, object]]:
    return [
        {
            "number": n, "key": f"{policy.key}-{t.id}", "subject": header_text(ledger.context.subjects.get(t.id, ""), 80),
            "status": t.status.replace("_", " "), "priority": "" if t.priority == "normal" else t.priority,
            "queue": t.queue, "requester": ledger.address(t.requester) if t.requester is not None else "",
            "waits": _waits(t, now), "due": f"{t.due_at:%Y-%m-%d %H:%M} UTC" if t.due_at else "",
            "late": t.due_at is not None and t.due_at <= now,
        }
        for n, t in enumerate(tickets, start=first)
    ]


def _waits(ticket: Ticket, now: datetime) -> str:
    """For how long the customer has waited for us; '' if we spoke last."""
    asked, said = ticket.last_customer_at, ticket.last_agent_at
    if asked is None or (said is not None and said >= asked):
        return ""
    hours = max(0, int((now - asked).total_seconds() // 3600))
    return f"{hours // 24}d {hours % 24}h" if hours >= 24 else f"{hours}h"

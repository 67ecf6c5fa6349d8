"""``limit queue=support status=open``: the lines below it may touch such tickets only, as Debbugs' ``limit``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.core.command_table import STATUSES
from gateway.core.command_value import choice, fold
from gateway.core.ledger import Ledger
from gateway.core.policy import Agent, Policy
from gateway.core.rows import Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a ticket must be for the lines below ``limit``; '' or None for any."""

    queue: str = ""
    status: str = ""
    assignee: str | None = None     # an address, '' for nobody
    tag: str = ""
    words: str = ""

    def admits(self, ticket: Ticket, ledger: Ledger) -> bool:
        holder = ledger.address(ticket.assignee) if ticket.assignee is not None else ""
        return (
            self.queue in ("", ticket.queue) and self.status in ("", ticket.status)
            and self.assignee in (None, holder) and (not self.tag or self.tag in ticket.tags.split())
        )


def read_limit(value: str, agent: Agent, policy: Policy) -> Limit | None:
    """``queue=support status=open``; None lifts it. Raises ValueError."""
    if fold(value) in ("", "none", "clear", "all", "keine"):
        return None
    found = Limit(words=value)
    for item in value.replace(",", " ").split():
        name, sign, value_ = item.replace(":", "=", 1).partition("=")
        name = fold(name)
        if not sign or not value_:
            raise ValueError(item)
        if name in ("queue", "group", "gruppe"):
            found = replace(found, queue=choice({q.name: () for q in policy.queues}, value_))
        elif name == "status":
            found = replace(found, status=choice({**STATUSES, "new": ("neu",), "void": ("spam",)}, value_))
        elif name in ("assignee", "owner", "bearbeiter"):
            holder = agent if value_ in ("me", "!", "mir") else policy.agent(value_)
            if holder is None and value_ not in ("none", "nobody", "niemand"):
                raise ValueError(item)
            found = replace(found, assignee=holder.address if holder else "")
        elif name in ("tag", "schlagwort"):
            found = replace(found, tag=fold(value_))
        else:
            raise ValueError(item)
    return found

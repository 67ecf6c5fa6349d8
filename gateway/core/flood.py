"""One address that opens more tickets than its budget: what follows is collected on the last of them."""

from __future__ import annotations

from typing import Final

from gateway.core.case import DEAD, Case
from gateway.core.identity import PROVES_SENDER
from gateway.core.rows import Ticket

FLOOD: Final = "flood"      # tag of the ticket that collects


def flooded(case: Case) -> Ticket | None:
    """The ticket that collects an address's mail once its hourly budget of new tickets is spent."""
    opened = case.context.opened.get(case.facts.identity.address, ())
    if case.facts.identity.level in PROVES_SENDER:
        return None     # ten forged mails must not hide the true one
    if len(opened) < case.policy.budgets.tickets_per_address_hour:
        return None
    found = case.context.living(max(opened))
    return found if found and found.status not in DEAD else None

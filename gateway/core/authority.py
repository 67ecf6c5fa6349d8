"""Who may do what: the ladder of roles, asked in one place.

    customer < light < agent < lead < admin

A command's row says the lowest role that may run it (``who`` in core/command_table.py); an agent's role
depends on the queue of the ticket (Policy.role). How sure we are that it is the agent is another
question: core/identity.py.
"""

from __future__ import annotations

from typing import Final

from gateway.core.policy import Agent, Policy

ORDER: Final = ("customer", "light", "agent", "lead", "admin")


def may(who: str, role: str | None) -> bool:
    """Whether ``role`` is as high as ``who``; None is the role of those who do not see the queue."""
    return role is not None and ORDER.index(role) >= ORDER.index(who)


def sees(agent: Agent | None, queue: str) -> bool:
    """Whether ``agent`` may know of tickets of ``queue``. None is a rule or the operator: nobody hides from them."""
    return agent is None or agent.role_in(queue) is not None


def assignable(queue: str, policy: Policy) -> tuple[str, ...]:
    """Logins of those who may be given a ticket of ``queue``: they see it, and may answer."""
    return tuple(a.login for a in policy.agents if may("agent", a.role_in(queue)))

"""Our mails to an agent that are about no ticket: transcripts, rehearsals, digests.

Their reply address is of ticket 0, the desk itself; such addresses are made for agents only.
"""

from __future__ import annotations

from gateway.core.decision import Draft
from gateway.core.ledger import Ledger
from gateway.core.model import OutgoingKind, Token
from gateway.core.policy import Agent, Policy
from gateway.core.profile import way_to_agent


def desk_mail(
    kind: OutgoingKind, agent: Agent, ledger: Ledger, policy: Policy, *, template: str, subject: str,
    message: int | None = None, answers: str | None = None, listed: tuple[tuple[int, int, int], ...] = (),
    values: dict[str, object],
) -> Draft:
    """``answers`` is the Message-ID of the mail that this one answers; ``listed`` as in Draft."""
    person = ledger.person(agent.address, agent.name)
    queue = next((q for q in policy.queues if agent.login in q.agents), policy.queues[0])
    way = way_to_agent(Token(role="a", ticket=0, party=person), queue, policy)
    return Draft(
        kind=kind, template=template, language=agent.language, ticket=None, message=message, recipient=person,
        rcpt_to=agent.address, from_name=queue.from_name, from_address=way.from_address, reply_to=way.reply_to,
        mail_from=way.mail_from, to_name=agent.name, subject=f"Re: {subject}" if answers else subject, signed_kind="x",
        in_reply_to=answers, references=(answers,) if answers else (),
        automatic="auto-replied" if answers else "auto-generated", values=values, listed=listed,
    )

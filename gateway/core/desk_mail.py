"""Our mails to an agent that are about no ticket: transcripts, rehearsals, digests.

Their reply address is of ticket 0, the desk itself; such addresses are made for agents only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.core.context import Context
from gateway.core.decision import Decision, Draft
from gateway.core.ledger import Ledger
from gateway.core.model import OutgoingKind, Token
from gateway.core.policy import Agent, Policy
from gateway.core.profile import way_to_agent


def told(agent: Agent, lines: Sequence[str], context: Context, policy: Policy, *, cause: str, now: datetime) -> Decision:
    """A transcript of its own, which answers no mail. ``context`` has the agent's person."""
    ledger = Ledger(context, cause, now, now)
    draft = desk_mail(
        "transcript", agent, ledger, policy, template="transcript", subject="control",
        values={"lines": [*lines], "outcome": "done", "transaction": "", "minutes": 0},
    )
    return Decision(spool_id=cause, disposition="log", rows=ledger.close(), drafts=(draft,), reasons=())


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

"""Commands that tie tickets together: merge, split, link."""

from __future__ import annotations

import re

from gateway.core import authority
from gateway.core.actor import Actor, Refused, note
from gateway.core.command_table import OTHER_SIDE
from gateway.core.ledger import Ledger
from gateway.core.policy import Policy
from gateway.core.rows_beside import TicketLink
from gateway.core.subject import ticket_subject


def merge_into(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    merge(ledger, ticket, _other(ledger, ticket, args, actor, policy, "#merge"), actor)


def merge(ledger: Ledger, ticket: int, into: int, actor: Actor) -> None:
    """``ticket`` becomes void and redirects to ``into`` for ever; its followers move along."""
    note(ledger, ticket, "merged_into", actor, after=str(into))
    note(ledger, into, "merged_from", actor, after=str(ticket))
    for follower in ledger.followers(ticket):
        ledger.join(
            into, follower.person, "holder" if follower.role == "holder" else "cc", actor=actor.person,
            actor_kind=actor.kind, cause=actor.cause,
        )


def link(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    relation, _, named = args.partition(" ")
    tie(ledger, ticket, _other(ledger, ticket, named, actor, policy, "#link blocks"), relation, actor, stands=True)


def unlink(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    other = _other(ledger, ticket, args, actor, policy, "#unlink")
    relations = [row.relation for row in ledger.links(ticket) if row.other == other]
    if not relations:
        tied = ", ".join(f"{policy.key}-{row.other}" for row in ledger.links(ticket))
        raise Refused(f"{policy.key}-{other} is not linked; linked are {tied or 'none'}")
    for relation in relations:
        tie(ledger, ticket, other, relation, actor, stands=False)


def tie(ledger: Ledger, ticket: int, other: int, relation: str, actor: Actor, *, stands: bool) -> None:
    """Make or end a link, told on both tickets; nothing if it is so already."""
    if stands == any((row.other, row.relation) == (other, relation) for row in ledger.links(ticket)):
        return
    for here, there, seen in ((ticket, other, relation), (other, ticket, OTHER_SIDE[relation])):
        ledger.link(TicketLink(
            ticket=here, other=there, relation=seen, since=ledger.now, until=None if stands else ledger.now
        ))
        note(ledger, here, "linked" if stands else "unlinked", actor, seen, str(there))


def split(ledger: Ledger, ticket: int, subject: str, answered: int | None, actor: Actor, policy: Policy) -> int:
    """A new ticket of the same requester, whose first message is the one that was answered, if it is known.

    What else the mail says and orders is done there by the caller; the old ticket stays as it is.
    """
    old = ledger.ticket(ticket)
    if subject:
        words = ticket_subject(subject, policy.key)
    else:
        words = ledger.context.subjects.get(ticket, "")
    new = ledger.new_ticket(words)
    mail = ledger.context.stored.get(answered or 0)
    # A message that agents alone may read is not made public by a new number.
    first = mail.message.id if mail is not None and mail.message.is_public else None
    ledger.event(
        new, "created", actor=old.requester, actor_kind="customer", message=first, is_public=first is not None,
        after=old.queue, cause=actor.cause,
    )
    if old.requester is not None:
        ledger.participant(new, old.requester, "requester")
    for here, there in ((new, ticket), (ticket, new)):
        ledger.link(TicketLink(ticket=here, other=there, relation="relates", since=ledger.now, until=None))
        note(ledger, here, "linked", actor, "relates", str(there))
    return new


def _other(ledger: Ledger, ticket: int, named: str, actor: Actor, policy: Policy, example: str) -> int:
    """The living ticket that is named; not this one."""
    found = re.fullmatch(rf"(?:{re.escape(policy.key)}-)?(\d{{1,15}})", named.strip(), re.IGNORECASE)
    if found is None:
        raise Refused(f"{example} {policy.key}-123")
    other = ledger.living(int(found.group(1)))
    if other is None or not authority.sees(actor.agent, other.queue):
        raise Refused(f"{policy.key}-{found.group(1)} is not a ticket here")
    if other.id == ticket:
        raise Refused(f"{policy.key}-{other.id} is this ticket")
    return other.id

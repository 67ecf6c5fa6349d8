"""One mail that came by two ways (architecture ruling 2): what the second copy does.

The copies have Message-ID, From and body in common (core/understand.py). Their envelopes differ, and with
them what they prove: a copy to a reply address says where a mail belongs that the first copy, to the
queue's address, had opened a ticket for.
"""

from __future__ import annotations

from gateway.core import act
from gateway.core.case import DEAD, WAITING, Case, is_agents, link
from gateway.core.decision import Decision
from gateway.core.model import Token
from gateway.core.proof import tokens
from gateway.core.rows import Message, Ticket


def is_copy(case: Case) -> bool:
    """A known mail by another way, unless only this way proves where it belongs or who wrote it."""
    first = _first_copy(case)
    if first is None or case.released == first.id:
        return False
    opened = case.context.living(first.ticket) if first.ticket is not None else None
    if opened is None:
        return case.ticket is None
    if is_agents(case) and case.facts.identity.level >= 3:
        return opened.id == case.ticket and not (first.hold or "").startswith("unproven")
    return True


def second_copy(case: Case) -> Decision:
    """Ruling 2: one mail that came by two ways is one message; a token in either way decides."""
    first = _first_copy(case)
    assert first is not None  # is_copy looked
    opened = case.context.living(first.ticket) if first.ticket is not None else None
    # What a vendor wrote is no customer's reply, whatever it was taken for at first.
    held = (t for t in tokens(case.spooled, case.policy, case.context) if t.role != "v")
    token = next((t for t in held if case.context.living(t.ticket)), None)
    into = case.context.living(token.ticket) if token else None
    if opened is None:
        case.ledger.why("copy", f"second copy of message {first.id}")
        return link(case, first.id, None)
    case.ledger.event(opened.id, "copy", actor=case.author(), actor_kind="system", message=first.id)
    began = first.is_public and (first.author, first.at) == (opened.requester, opened.created_at)
    # A stranger may send another's mail once more, to a reply address of his own.
    own = token is not None and into is not None and _takes_part(case, first, into, token)
    if token is None or into is None or not own or into.id == opened.id or not began or (
        opened.first_reply_at is not None or into.status in DEAD
    ):
        case.ledger.why("copy", f"second copy of message {first.id}")
        return link(case, first.id, opened.id)
    _merge_copy(case, first, opened, into)
    case.ledger.why("copy_merged", "the other copy was addressed to a reply address of another ticket")
    return link(case, first.id, into.id)


def _merge_copy(case: Case, first: Message, opened: Ticket, into: Ticket) -> None:
    """The ticket that the first copy opened becomes a reply on the token's."""
    ledger, is_auto = case.ledger, first.mail_class != "human"
    ledger.event(
        into.id, "customer_reply", actor=first.author, actor_kind="customer", message=first.id, is_public=True,
        is_auto=is_auto,
    )
    act.merge(ledger, opened.id, into.id, act.Actor(kind="system", person=None))
    if into.status in WAITING and not is_auto:
        act.set_status(ledger, into.id, "open", act.Actor(kind="customer", person=first.author))


def _takes_part(case: Case, first: Message, into: Ticket, token: Token) -> bool:
    """Whether the writer is on the token's ticket by himself, not by another's reply address."""
    party = case.context.persons.get(token.party)
    if party is not None and party.id == first.author:
        return True
    return any(f.person == first.author and f.role != "holder" for f in case.ledger.followers(into.id))


def _first_copy(case: Case) -> Message | None:
    """The stored message that this mail is a copy of, as it is now."""
    if case.facts.copy_of is None:
        return None
    found = [m for copies in case.context.copies.values() for m in copies if m.id == case.facts.copy_of]
    return found[-1] if found else None

"""Commands about who is on a ticket: requester, copies, addresses that were dead."""

from __future__ import annotations

from typing import Final

from gateway.core import suppress
from gateway.core.actor import Actor, Refused, change, note
from gateway.core.address import canonical, is_mailbox
from gateway.core.context import StoredMail
from gateway.core.forward import read_forward
from gateway.core.ledger import Ledger
from gateway.core.model import Address, Role
from gateway.core.policy import Policy
from gateway.core.profile import is_ours
from gateway.core.subject import header_text

MOST_READ: Final = 200_000      # characters of a mail in which a forward is looked for


def requester(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """The ticket is somebody else's. The former requester stays on copy, unless he is one of us."""
    _outside(args, policy)
    give(ledger, ticket, ledger.person(args), actor, policy)


def give(ledger: Ledger, ticket: int, person: int, actor: Actor, policy: Policy) -> None:
    """``requester`` by the person's id."""
    former = ledger.ticket(ticket).requester
    if former == person:
        return
    set_role(ledger, ticket, person, "requester", actor)
    if former is not None:
        ours = policy.agent_of_address(ledger.address(former)) is not None
        set_role(ledger, ticket, former, "gone" if ours else "cc", actor)
    change(ledger, ticket, "requester", actor, None if former is None else str(former), str(person))


def fwd(ledger: Ledger, ticket: int, _args: str, actor: Actor, policy: Policy) -> None:
    """Whoever wrote the mail that the customer's last one forwards."""
    last = ledger.context.stored.get(ledger.ticket(ticket).last_public or 0)
    sender = forwarded_by(last) if last is not None else None
    if sender is None:
        raise Refused("the last mail of this ticket forwards none; write #requester ann@acme.example")
    _outside(sender.address, policy)
    give(ledger, ticket, ledger.person(sender.address, header_text(sender.name, 80)), actor, policy)


def forwarded_by(mail: StoredMail) -> Address | None:
    """Who wrote the mail that a stored one forwards in its text; the address is canonical."""
    inner = read_forward(mail.text.whole_text[:MOST_READ])
    if inner is None or not is_mailbox(address := canonical(inner.sender.address)):
        return None
    return Address(name=inner.sender.name, address=address)


def cc(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    for item in args.split():
        sign, address = item[0], item[1:]
        known = {ledger.address(f.person): f for f in ledger.followers(ticket)}
        if sign == "+":
            _outside(address, policy)
            there = known.get(address)
            if there is None or there.role == "holder":
                set_role(ledger, ticket, ledger.person(address), "cc", actor)
            continue
        found = known.get(address)
        if found is None:
            raise Refused(f"{address} is not on this ticket; on it are {', '.join(sorted(known)) or 'nobody'}")
        if found.role == "requester":
            raise Refused(f"{address} is the requester; give the ticket to another with #requester")
        set_role(ledger, ticket, found.person, "gone", actor)


def set_role(ledger: Ledger, ticket: int, person: int, role: Role, actor: Actor) -> None:
    """Write the role and the event that says so; nothing if it is that already."""
    had = next((f.role for f in ledger.followers(ticket) if f.person == person), None)
    if had == role or (had is None and role == "gone"):
        return
    ledger.role(ticket, person, role)
    note(ledger, ticket, "participant_removed" if role == "gone" else "participant_added", actor, had, str(person))


def unsubscribe(ledger: Ledger, _ticket: int, _args: str, actor: Actor, _policy: Policy) -> None:
    if actor.kind != "customer" or actor.person is None:
        raise Refused("customers write this; take somebody off the ticket with #cc -ann@acme.example")
    ledger.opt_out(actor.person)


def vendor(_ledger: Ledger, _ticket: int, _args: str, _actor: Actor, _policy: Policy) -> None:
    """``#vendor`` where no thread can begin: in a released mail, beside #public, in a rehearsal. See core/vendor.py."""
    raise Refused("#vendor stands above the words for the vendor, in an answer without #note, #public, #send or #dryrun")


def revive(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """Only of this ticket: an agent who writes to somebody else's customer does so on that one's ticket."""
    on_it = {f.person for f in ledger.followers(ticket)}
    dead = {ledger.address(row.person): row for p in on_it if (row := suppress.stopped(p, ledger, policy))}
    row = dead.get(args)
    if row is None:
        listed = ", ".join(sorted(dead))
        raise Refused(f"on this ticket we do not write to {listed}" if listed else "we write to everybody on this ticket")
    suppress.revive(row, ledger)
    note(ledger, ticket, "revived", actor, after=str(row.person))


def _outside(address: str, policy: Policy) -> None:
    """Agents follow tickets by their queues, and we do not write to ourselves."""
    if is_ours(address, policy):
        raise Refused(f"{address} is an address of ours; name somebody outside")
    if policy.agent_of_address(address) is not None:
        raise Refused(f"{address} is an agent's; agents take part by #assign and #group")

"""Commands that change what a ticket is: status, holder, queue, priority, type, tags, times, own fields."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from typing import Final, Literal

from gateway.core import authority
from gateway.core.actor import Actor, Refused, change, note
from gateway.core.command_value import choice, fold
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import TRANSITIONS
from gateway.core.model import Status
from gateway.core.policy import Field, Policy
from gateway.core.rows_beside import TicketField
from gateway.core.when import NOTHING, read_when, resolve, span

STATUSES: Final[dict[str, Status]] = {status: status for status in TRANSITIONS}


def set_status(ledger: Ledger, ticket: int, after: Status, actor: Actor) -> None:
    """Move the ticket, if it is not there already. Raises Refused on a move that the table lacks."""
    before = ledger.ticket(ticket).status
    if before == after:
        return
    if after not in TRANSITIONS[before]:
        raise Refused(f"a ticket that is {before} can become {', '.join(sorted(TRANSITIONS[before])) or 'nothing else'}")
    note(ledger, ticket, "status", actor, before, after)


def first_answer(ledger: Ledger, ticket: int, actor: Actor, policy: Policy) -> None:
    """A new ticket that is answered is open; who answers first takes it, so that the customer's next mail reaches one person."""
    state = ledger.ticket(ticket)
    if state.status == "new":
        set_status(ledger, ticket, "open", actor)
    if state.assignee is None and actor.agent is not None:
        assign(ledger, ticket, "me", actor, policy)


def status(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    word, _, until = args.partition(" ")
    set_status(ledger, ticket, STATUSES[word], actor)   # the grammar admits no other word
    if until:
        known = ledger.ticket(ticket).pending_until
        change(ledger, ticket, "until", actor, _iso(known), _iso(_moment(until, ledger, actor, "morning")))


def assign(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """A person, or with the name of a queue that queue and nobody of it."""
    agent = actor.agent if args == "me" else None
    if args not in ("me", "none"):
        agent = policy.agent(args) or policy.agent_of_address(args)
        if agent is None and any(q.name == args for q in policy.queues):
            group(ledger, ticket, args, actor, policy)
            args = "none"
    able = authority.assignable(ledger.ticket(ticket).queue, policy)
    if args != "none" and (agent is None or agent.login not in able):
        raise Refused("agents are " + ", ".join(able) + ", or me, or none")
    after = str(ledger.person(agent.address, agent.name)) if agent else None
    held = ledger.ticket(ticket).assignee
    change(ledger, ticket, "assignee", actor, str(held) if held is not None else None, after)


def group(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """Into another queue. Who had the ticket and does not answer there has it no more."""
    name = _named({q.name: () for q in policy.queues}, args)
    state = ledger.ticket(ticket)
    change(ledger, ticket, "queue", actor, state.queue, name)
    holder = policy.agent_of_address(ledger.address(state.assignee)) if state.assignee is not None else None
    if state.assignee is not None and (holder is None or holder.login not in policy.queue(name).agents):
        change(ledger, ticket, "assignee", actor, str(state.assignee), None)


def priority(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    change(ledger, ticket, "priority", actor, ledger.ticket(ticket).priority, args)


def kind(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    change(ledger, ticket, "type", actor, ledger.ticket(ticket).type, None if args == "none" else args)


def tag(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    have = ledger.ticket(ticket).tags.split()
    if args.startswith("="):
        wanted = [item[1:] for item in args.split() if item != "="]
        items = [*(f"-{t}" for t in have if t not in wanted), *(f"+{t}" for t in wanted)]
    else:
        items = args.split()
    for item in items:
        sign, word = (item[0], item[1:]) if item[0] in "+-" else ("+", item)
        if (sign == "+") != (word in ledger.ticket(ticket).tags.split()):
            note(ledger, ticket, "tag_added" if sign == "+" else "tag_removed", actor, after=word)


def due(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    after = _moment(args, ledger, actor, "evening")
    change(ledger, ticket, "due", actor, _iso(ledger.ticket(ticket).due_at), _iso(after))


def spent(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    minutes, have = int(args), ledger.ticket(ticket).spent_minutes
    if have + minutes < 0:
        raise Refused(f"only {span(have)} were written down")
    note(ledger, ticket, "spent", actor, after=str(minutes))


def estimate(ledger: Ledger, ticket: int, args: str, actor: Actor, _policy: Policy) -> None:
    have = ledger.ticket(ticket).estimate_minutes
    after = (have or 0) + int(args) if args[0] in "+-" else int(args)
    if after < 0:
        raise Refused(f"the estimate is {span(have or 0)}")
    change(ledger, ticket, "estimate", actor, None if have is None else str(have), str(after))


def field(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    name, _, said = args.partition("=")
    if not policy.fields:
        raise Refused("this desk has no fields of its own")
    known = {f.name: f for f in policy.fields}
    row = known[_named({f.name: f.aliases for f in policy.fields}, name)]
    set_field(ledger, ticket, row.name, _value(row, said, ledger, actor), actor)


def set_field(ledger: Ledger, ticket: int, name: str, value: str, actor: Actor) -> None:
    """The event says which field and since when it had another value; the value itself stands beside it."""
    before = ledger.fields(ticket).get(name)
    if value == (before.value if before else ""):
        return
    ledger.field(TicketField(event=ledger.next_seq, ticket=ticket, field=name, value=value))
    note(ledger, ticket, "field", actor, str(before.event) if before else None, name)


def spam(ledger: Ledger, ticket: int, _args: str, actor: Actor, _policy: Policy) -> None:
    set_status(ledger, ticket, "void", actor)


def restore(ledger: Ledger, ticket: int, _args: str, actor: Actor, _policy: Policy) -> None:
    state = ledger.ticket(ticket)
    if state.status != "void":
        raise Refused(f"the ticket is {state.status}; only what #spam took away comes back")
    set_status(ledger, ticket, state.void_from or "open", actor)


def _value(row: Field, said: str, ledger: Ledger, actor: Actor) -> str:
    """The value in the one form in which it is stored; '' clears."""
    if not said or fold(said) in NOTHING:
        return ""
    if row.type == "choice":
        return _named(dict.fromkeys(row.choices, ()), said)
    if row.type == "number":
        return _number(row, said)
    if row.type == "date":
        try:
            found = resolve_day(said, ledger.at, actor.offset)
        except ValueError as error:
            raise Refused(f"{row.name} is a date: {error}") from None
        return found
    return unicodedata.normalize("NFC", said)


def resolve_day(said: str, at: datetime, offset: int) -> str:
    """``2026-12-24`` of a day as people write it; a written date may be past. Raises ValueError."""
    words = read_when(said)
    head = words.partition(" ")[0]
    if head[:4].isdigit():
        return head
    found = resolve(words, at, offset, end="evening")
    assert found is not None    # _value has looked for words that mean none
    return f"{found + timedelta(minutes=offset):%Y-%m-%d}"


def _number(row: Field, said: str) -> str:
    text = said.replace(" ", "").replace(",", ".")
    whole, _, part = text.removeprefix("-").partition(".")
    if not (text.isascii() and whole.isdecimal() and (part.isdecimal() or "." not in text) and len(text) <= 20):
        raise Refused(f"{row.name} is a number: 12 or 12.5")
    return text


def _named(table: dict[str, tuple[str, ...]], said: str) -> str:
    try:
        return choice(table, said)
    except ValueError as error:
        raise Refused(str(error)) from None


def _moment(words: str, ledger: Ledger, actor: Actor, end: Literal["morning", "evening"]) -> datetime | None:
    try:
        return resolve(words, ledger.at, actor.offset, end=end)
    except ValueError as error:
        raise Refused(str(error)) from None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None

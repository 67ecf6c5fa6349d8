"""#undo: the inverse of what a transaction did to tickets. Sent mail and messages stay.

A transaction is all that one mail (or one operator command) did: the events of one cause. What a ticket was
before is the fold of its events before the transaction's first; what has changed since by other hands is
not overwritten, the whole undo is refused instead. An undo is a transaction of its own and can be undone.

Limits: nothing becomes "new" again, it is open instead. A ticket that was split off stays; merge it back.
Needs the whole history of the tickets (``Needs.more_of`` and ``undone``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from gateway.core.act_people import set_role
from gateway.core.act_state import set_field
from gateway.core.act_tickets import tie
from gateway.core.actor import Actor, Refused, change, note
from gateway.core.authority import may
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import fold
from gateway.core.model import EventKind, Role
from gateway.core.policy import Policy
from gateway.core.rows import Event, Ticket

# Kinds that can be taken back; a mail without any of them has no commands.
TAKEN_BACK: Final[frozenset[EventKind]] = frozenset({
    "status", "assignee", "priority", "queue", "type", "due", "until", "spent", "estimate", "tag_added", "tag_removed",
    "requester", "participant_added", "participant_removed", "merged_into", "merged_from", "linked", "unlinked", "field",
})
# Column -> (event that sets it, the value as an event writes it).
_COLUMNS: Final[dict[str, tuple[EventKind, Callable[[object], str | None]]]] = {
    "assignee": ("assignee", lambda v: None if v is None else str(v)),
    "priority": ("priority", str),
    "queue": ("queue", str),
    "type": ("type", lambda v: None if v is None else str(v)),
    "due_at": ("due", lambda v: v.isoformat() if isinstance(v, datetime) else None),
    "estimate_minutes": ("estimate", lambda v: None if v is None else str(v)),
    "requester": ("requester", lambda v: None if v is None else str(v)),
}


def undo(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """Take back transaction ``args``, or the last one of this ticket. Raises Refused with the reason."""
    events = [e for found in ledger.context.history.values() for e in found]
    mark = args or _last(events, ticket, ledger)
    mine = sorted((e for e in events if e.cause == mark and e.cause != ledger.cause), key=lambda e: e.seq)
    if not mine:
        raise Refused("there is no such transaction; #show lists those of this ticket")
    if any(e.kind == "undone" and e.after == mark for e in events):
        raise Refused("it was taken back already")
    if any(e.actor != actor.person for e in mine if e.kind in TAKEN_BACK and e.actor_kind == "agent") and (
        actor.agent is None or not may("lead", actor.agent.role_in(ledger.ticket(ticket).queue))
    ):
        raise Refused("a colleague wrote it; a lead may take it back")
    if any(e.kind == "created" for e in mine):
        raise Refused("it opened a ticket, which stays; #merge puts it back")
    for number in dict.fromkeys(e.ticket for e in mine):
        _unmerge(ledger, number, mine, actor, policy)
    meant = [e for e in mine if not _implied(e, mine)]
    for number in dict.fromkeys(e.ticket for e in meant):
        here = [e for e in meant if e.ticket == number]
        if any(e.kind in TAKEN_BACK for e in here):
            _take_back(ledger, number, here, actor)
            note(ledger, number, "undone", actor, after=mark)


def _last(events: Iterable[Event], ticket: int, ledger: Ledger) -> str:
    """The newest transaction of the ticket that a person's commands made and that stands."""
    here = sorted((e for e in events if e.ticket == ticket and e.cause != ledger.cause), key=lambda e: -e.seq)
    over = {e.after for e in here if e.kind == "undone"} | {e.cause for e in here if e.kind == "undone"}
    orders = (e for e in here if e.actor_kind == "agent" and e.kind in TAKEN_BACK and e.cause not in over)
    found = next((e.cause for e in orders if not _implied(e, here)), None)
    if found is None:
        raise Refused("no command on this ticket is left to take back")
    return found


def _implied(event: Event, events: Iterable[Event]) -> bool:
    """Whether it followed from an answer, not from a command: who answers first opens and takes a ticket."""
    first = (event.kind, event.before, event.after) in (("status", "new", "open"), ("assignee", None, str(event.actor)))
    return first and any(e.kind == "agent_reply" and e.cause == event.cause for e in events)


def _take_back(ledger: Ledger, number: int, here: list[Event], actor: Actor) -> None:
    history = sorted(ledger.context.history[number], key=lambda e: e.seq)
    before = fold(e for e in history if e.seq < here[0].seq)
    after = fold(e for e in history if e.seq <= here[-1].seq)
    for name, (kind, words) in _COLUMNS.items():
        old, made, now = (words(getattr(t, name)) for t in (before, after, ledger.ticket(number)))
        if old not in (made, now):
            _same(name, made, now)
            change(ledger, number, kind, actor, now, old)
    if after.spent_minutes != before.spent_minutes:
        note(ledger, number, "spent", actor, after=str(before.spent_minutes - after.spent_minutes))
    _tags(ledger, number, before, after, actor)
    _status(ledger, number, before, after, actor)
    for event in reversed(here):
        if event.kind in ("participant_added", "participant_removed"):
            set_role(ledger, number, int(event.after or 0), _role(event.before), actor)
        elif event.kind in ("linked", "unlinked") and event.before is not None:
            tie(ledger, number, int(event.after or 0), event.before, actor, stands=event.kind == "unlinked")
        elif event.kind == "field":
            _field(ledger, number, event, actor)


def _same(name: str, made: str | None, now: str | None) -> None:
    if made != now:
        raise Refused(f"the {name.removesuffix('_at').removesuffix('_minutes')} has changed since; set it by its command")


def _status(ledger: Ledger, number: int, before: Ticket, after: Ticket, actor: Actor) -> None:
    now = ledger.ticket(number)
    target = "open" if before.status == "new" else before.status
    if before.status != after.status and now.status not in (before.status, target):
        _same("status", after.status, now.status)
        note(ledger, number, "status", actor, now.status, target)
    until = before.pending_until
    if ledger.ticket(number).status == "pending" and before.status == "pending":
        known = ledger.ticket(number).pending_until
        change(ledger, number, "until", actor, known.isoformat() if known else None, until.isoformat() if until else None)


def _tags(ledger: Ledger, number: int, before: Ticket, after: Ticket, actor: Actor) -> None:
    """Tag by tag: others may have come and gone since."""
    old, made = set(before.tags.split()), set(after.tags.split())
    for word in sorted(made ^ old):
        if (word in old) != (word in ledger.ticket(number).tags.split()):
            note(ledger, number, "tag_added" if word in old else "tag_removed", actor, after=word)


def _field(ledger: Ledger, number: int, event: Event, actor: Actor) -> None:
    """The value that the field had before this event, if it is this event's still."""
    name = event.after or ""
    rows = [r for r in ledger.context.fields.get(number, ()) if r.field == name]
    made = next((r.value for r in rows if r.event == event.seq), "")
    now = ledger.fields(number).get(name)
    _same(name, made, now.value if now else "")
    set_field(ledger, number, name, next((r.value for r in rows if str(r.event) == event.before), ""), actor)


def _unmerge(ledger: Ledger, number: int, mine: list[Event], actor: Actor, policy: Policy) -> None:
    """A merge ends only if neither ticket has gone on since: else whose mail is whose could not be told."""
    merged = next((e for e in mine if e.ticket == number and e.kind == "merged_into"), None)
    if merged is None:
        return
    into = int(merged.after or 0)
    for each in (number, into):
        since = [e for e in ledger.context.history.get(each, ()) if e.seq > mine[-1].seq and e.cause != ledger.cause]
        if since or each not in ledger.context.history:
            raise Refused(f"{policy.key}-{each} has gone on since the merge, so it stays; #split parts what is new")
    note(ledger, number, "unmerged_into", actor, before=str(into))
    note(ledger, into, "unmerged_from", actor, before=str(number))


def _role(said: str | None) -> Role:
    return next((r for r in ("requester", "cc", "holder") if r == said), "gone")

"""The life of a ticket: which status may follow which, and the fold of its events.

The ticket row is nothing but the fold of its events (architecture decision 5): ``apply`` is the
only place that changes a ticket, and a test compares the fold with the stored row. Who may move
a ticket is decided elsewhere (core/command.py has the levels); here stands what is possible.

Limits: events are folded in the order of ``seq``, never of ``at``, because many share a second.
``before`` is compared with the ticket for ``status`` only: metrics measure time between statuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, get_args

from gateway.core.model import EventKind, Priority, Status, TicketType
from gateway.core.rows import Event, Ticket

# "new" is never entered again, except from "void": #restore undoes #spam on a new ticket.
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    "new": frozenset({"open", "pending", "on_hold", "solved", "closed", "void"}),
    "open": frozenset({"pending", "on_hold", "solved", "closed", "void"}),
    "pending": frozenset({"open", "on_hold", "solved", "closed", "void"}),
    "on_hold": frozenset({"open", "pending", "solved", "closed", "void"}),
    "solved": frozenset({"open", "pending", "on_hold", "closed", "void"}),
    "closed": frozenset({"open", "void"}),
    "void": frozenset({"new", "open", "pending", "on_hold", "solved", "closed"}),
}
DONE: Final[frozenset[str]] = frozenset({"solved", "closed"})

Changes = dict[str, Any]


def may_move(before: Status, after: Status) -> bool:
    """Whether a ticket may go from ``before`` to ``after``; staying is not a move."""
    return after in TRANSITIONS[before]


def apply(ticket: Ticket | None, event: Event) -> Ticket:
    """The ticket after ``event``. Raises ValueError if the event cannot happen to this ticket."""
    if event.kind == "created":
        if ticket is not None:
            raise _impossible(event, "the ticket exists already")
        return _created(event)
    if ticket is None:
        raise _impossible(event, "the ticket was never created")
    if event.ticket != ticket.id:
        raise _impossible(event, f"it was applied to ticket {ticket.id}")
    return replace(ticket, version=ticket.version + 1, **CHANGES[event.kind](ticket, event))


def fold(events: Iterable[Event]) -> Ticket:
    """The ticket that its events make, oldest first. Raises ValueError if there are none."""
    ticket: Ticket | None = None
    for event in events:
        ticket = apply(ticket, event)
    if ticket is None:
        raise ValueError("a ticket without events does not exist; the first one is 'created'")
    return ticket


def _impossible(event: Event, why: str) -> ValueError:
    return ValueError(f"event {event.seq} ({event.kind}) of ticket {event.ticket} is impossible: {why}")


def _later(known: datetime | None, at: datetime) -> datetime:
    """Mails are folded as they arrive, not as they were written: time never goes back."""
    return at if known is None else max(known, at)


def _speaks(event: Event) -> bool:
    """A person said something in public. Robots start no clock and stop none (metrics §0)."""
    return event.is_public and not event.is_auto


def _created(event: Event) -> Ticket:
    if not event.after:
        raise _impossible(event, "'after' must name the queue")
    from_customer = event.actor_kind in ("customer", "collaborator") and event.message is not None
    return Ticket(
        id=event.ticket, queue=event.after, status="new", priority="normal", assignee=None,
        requester=event.actor, tags="", created_at=event.at, updated_at=event.at, first_reply_at=None,
        solved_at=None, last_customer_at=event.at if from_customer and _speaks(event) else None,
        last_agent_at=None, last_agent=None,
        last_public=event.message if event.is_public else None, merged_into=None, version=1,
    )


def _counted(_ticket: Ticket, _event: Event) -> Changes:
    return {}


def _touched(ticket: Ticket, event: Event) -> Changes:
    return {"updated_at": _later(ticket.updated_at, event.at)}


def _customer_reply(ticket: Ticket, event: Event) -> Changes:
    """The reopening that may follow is an event of its own, so that its reason is one too."""
    changes = _touched(ticket, event)
    if _speaks(event):
        changes["last_customer_at"] = _later(ticket.last_customer_at, event.at)
        changes["last_public"] = event.message or ticket.last_public
    return changes


def _agent_reply(ticket: Ticket, event: Event) -> Changes:
    changes = _touched(ticket, event)
    if _speaks(event):
        changes["first_reply_at"] = ticket.first_reply_at or event.at
        changes["last_agent_at"] = _later(ticket.last_agent_at, event.at)
        changes["last_agent"] = event.actor
        # What was sent past us may not have gone to every customer of the ticket: it is not quoted to them.
        if event.after != "direct":
            changes["last_public"] = event.message or ticket.last_public
    return changes


def _status(ticket: Ticket, event: Event) -> Changes:
    if event.before != ticket.status:
        raise _impossible(event, f"the ticket is {ticket.status}, not {event.before}")
    if event.after not in TRANSITIONS[ticket.status]:
        allowed = ", ".join(sorted(TRANSITIONS[ticket.status]))
        raise _impossible(event, f"a ticket that is {ticket.status} can become {allowed}, not {event.after}")
    if ticket.merged_into is not None:
        raise _impossible(event, f"it was merged into {ticket.merged_into}, and redirects are for ever")
    solved_at = ticket.solved_at
    if event.after in DONE:
        solved_at = solved_at or event.at
    elif event.after != "void":     # a void ticket leaves the figures as it was, and may be restored
        solved_at = None
    return {
        **_touched(ticket, event), "status": event.after, "solved_at": solved_at, "pending_until": None,
        "void_from": ticket.status if event.after == "void" else None,
    }


def _assignee(ticket: Ticket, event: Event) -> Changes:
    return {**_touched(ticket, event), "assignee": None if event.after is None else _id(event)}


def _requester(ticket: Ticket, event: Event) -> Changes:
    return {**_touched(ticket, event), "requester": _id(event)}


def _priority(ticket: Ticket, event: Event) -> Changes:
    if event.after not in get_args(Priority):
        raise _impossible(event, f"priorities are {', '.join(get_args(Priority))}, not {event.after}")
    return {**_touched(ticket, event), "priority": event.after}


def _queue(ticket: Ticket, event: Event) -> Changes:
    if not event.after:
        raise _impossible(event, "'after' must name the queue")
    return {**_touched(ticket, event), "queue": event.after}


def _tags(ticket: Ticket, event: Event) -> Changes:
    """Adding a tag twice, or taking one that is not there, changes nothing but the version."""
    if not event.after or event.after.split() != [event.after]:
        raise _impossible(event, f"{event.after!r} is not one tag without blanks")
    tags = set(ticket.tags.split())
    tags = tags | {event.after} if event.kind == "tag_added" else tags - {event.after}
    return {**_touched(ticket, event), "tags": " ".join(sorted(tags))}


def _type(ticket: Ticket, event: Event) -> Changes:
    if event.after not in (None, *get_args(TicketType)):
        raise _impossible(event, f"types are {', '.join(get_args(TicketType))}, not {event.after}")
    return {**_touched(ticket, event), "type": event.after}


def _due(ticket: Ticket, event: Event) -> Changes:
    return {**_touched(ticket, event), "due_at": _time(event)}


def _until(ticket: Ticket, event: Event) -> Changes:
    if ticket.status != "pending":
        raise _impossible(event, f"only a pending ticket waits until then, and it is {ticket.status}")
    return {**_touched(ticket, event), "pending_until": _time(event)}


def _spent(ticket: Ticket, event: Event) -> Changes:
    spent = ticket.spent_minutes + _minutes(event, event.after)
    if spent < 0:
        raise _impossible(event, f"only {ticket.spent_minutes} minutes were spent")
    return {**_touched(ticket, event), "spent_minutes": spent}


def _estimate(ticket: Ticket, event: Event) -> Changes:
    return {**_touched(ticket, event), "estimate_minutes": None if event.after is None else _minutes(event, event.after)}


def _merged_into(ticket: Ticket, event: Event) -> Changes:
    into = _id(event)
    if into == ticket.id:
        raise _impossible(event, "a ticket cannot be merged into itself")
    if ticket.merged_into is not None:
        raise _impossible(event, f"the ticket was merged into {ticket.merged_into} already")
    return {
        **_touched(ticket, event), "merged_into": into, "status": "void", "pending_until": None,
        "void_from": ticket.void_from if ticket.status == "void" else ticket.status,
    }


def _unmerged_into(ticket: Ticket, event: Event) -> Changes:
    if ticket.merged_into is None or event.before != str(ticket.merged_into):
        raise _impossible(event, f"the ticket is not merged into {event.before}")
    return {**_touched(ticket, event), "merged_into": None, "status": ticket.void_from or "open", "void_from": None}


def _time(event: Event) -> datetime | None:
    try:
        found = None if event.after is None else datetime.fromisoformat(event.after)
    except ValueError:
        found = None
    if event.after is not None and (found is None or found.tzinfo is None):
        raise _impossible(event, f"'after' must be a time with its zone, not {event.after!r}")
    return found


def _minutes(event: Event, text: str | None) -> int:
    if text is None or not text.isascii() or not text.removeprefix("-").isdecimal():
        raise _impossible(event, f"'after' must be minutes in decimal digits, not {text!r}")
    return int(text)


def _id(event: Event) -> int:
    if event.after is None or not (event.after.isascii() and event.after.isdecimal()):
        raise _impossible(event, f"'after' must be an id in decimal digits, not {event.after!r}")
    return int(event.after)


CHANGES: Final[dict[EventKind, Callable[[Ticket, Event], Changes]]] = {
    "customer_reply": _customer_reply,
    "agent_reply": _agent_reply,
    "note": _touched,
    "machine_mail": _touched,
    "held": _touched,
    "released": _touched,
    "copy": _touched,
    "requester": _requester,
    "status": _status,
    "assignee": _assignee,
    "priority": _priority,
    "queue": _queue,
    "tag_added": _tags,
    "tag_removed": _tags,
    "participant_added": _counted,
    "merged_into": _merged_into,
    # created_at stays, though the other ticket may be older: the row says when *this* ticket began;
    # the reports find the longer wait through merged_from (metrics §0, Merge).
    "merged_from": _counted,
    "unmerged_into": _unmerged_into,
    "unmerged_from": _counted,
    "linked": _counted,
    "unlinked": _counted,
    "participant_removed": _counted,
    "type": _type,
    "due": _due,
    "until": _until,
    "spent": _spent,
    "estimate": _estimate,
    "field": _touched,
    "undone": _counted,
    "acknowledged": _touched,
    "bounced": _touched,
    "delayed": _counted,
    "suppressed": _counted,
    "revived": _counted,
    "vendor_asked": _touched,
    "vendor_answered": _touched,
}

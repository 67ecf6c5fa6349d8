"""What events did to tickets, in words for agents: receipts, dry runs, transcripts, #show.

One line an event, without the ticket's key; events that are no change of a ticket (mail, notes, sent acknowledgements)
give none. Never for customers: lines name people and internal states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from gateway.core.ledger import Ledger
from gateway.core.policy import Policy
from gateway.core.rows import Event
from gateway.core.when import span

_ENGLISH: Final[dict[str, str]] = {
    "status": "status {before} -> {after}", "assignee": "assigned to {person}", "unassigned": "assigned to nobody",
    "queue": "moved from {before} to {after}", "priority": "priority {before} -> {after}", "type": "type {after}",
    "tag_added": "tag +{after}", "tag_removed": "tag -{after}", "due": "due {time}", "until": "pending until {time}",
    "spent": "{span} spent", "estimate": "estimate {span}", "field": "{after}: {value}", "requester": "requester is {person}",
    "participant_added": "{person} on the ticket", "participant_removed": "{person} off the ticket",
    "merged_into": "part of {other}", "merged_from": "{other} became part of it", "unmerged_into": "no longer part of {gone}",
    "unmerged_from": "{gone} is a ticket of its own again", "linked": "{before} {other}", "unlinked": "no longer {before} {other}",
    "undone": "taken back: {after}", "revived": "we write to {person} again", "created": "new ticket in {after}",
    "vendor_asked": "asked {person}, a third party", "vendor_answered": "{person}, a third party, answered",
    "nothing": "nobody or nothing",
}
_GERMAN: Final[dict[str, str]] = {
    "status": "Status {before} -> {after}", "assignee": "zugewiesen an {person}", "unassigned": "niemandem zugewiesen",
    "queue": "von {before} nach {after} verschoben", "priority": "Priorität {before} -> {after}", "type": "Art {after}",
    "tag_added": "Schlagwort +{after}", "tag_removed": "Schlagwort -{after}", "due": "fällig {time}",
    "until": "wartet bis {time}", "spent": "{span} aufgewendet", "estimate": "Schätzung {span}", "field": "{after}: {value}",
    "requester": "Ticket von {person}", "participant_added": "{person} am Ticket beteiligt",
    "participant_removed": "{person} nicht mehr beteiligt", "merged_into": "Teil von {other}",
    "merged_from": "{other} ist nun Teil davon", "unmerged_into": "nicht mehr Teil von {gone}",
    "unmerged_from": "{gone} ist wieder ein eigenes Ticket", "linked": "{before} {other}",
    "unlinked": "nicht mehr {before} {other}", "undone": "zurückgenommen: {after}",
    "revived": "wir schreiben {person} wieder", "created": "neues Ticket in {after}", "nothing": "niemand oder nichts",
    "vendor_asked": "{person} gefragt, einen Dritten", "vendor_answered": "{person}, ein Dritter, hat geantwortet",
}


def changes(events: Iterable[Event], ledger: Ledger, policy: Policy, language: str, *, offset: int = 0) -> list[str]:
    """A line for each change, in their order. Times are ``offset`` minutes east of UTC, where the reader is."""
    table = _GERMAN if language.partition("-")[0].casefold() == "de" else _ENGLISH
    return [line for event in events if (line := _line(event, table, ledger, policy, offset))]


def moment(at: datetime, offset: int) -> str:
    """``2026-11-24 09:00 +01:00``; UTC is said so."""
    local = at + timedelta(minutes=offset)
    hours, minutes = divmod(abs(offset), 60)
    zone = "UTC" if not offset else f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"
    return f"{local:%Y-%m-%d %H:%M} {zone}"


def _line(event: Event, table: dict[str, str], ledger: Ledger, policy: Policy, offset: int) -> str:
    words = table.get("unassigned" if event.kind == "assignee" and event.after is None else event.kind)
    if words is None:
        return ""
    given: dict[str, Callable[[str], str]] = {
        "person": lambda text: ledger.address(int(text)), "other": lambda text: f"{policy.key}-{text}",
        "time": lambda text: moment(datetime.fromisoformat(text), offset), "span": lambda text: span(int(text)),
        "value": lambda text: _value(event, text, ledger),
    }
    values = {name: read(event.after) if event.after is not None and f"{{{name}}}" in words else table["nothing"]
              for name, read in given.items()}
    before = (event.before or "").replace("_", " ")
    return words.format(before=before, after=event.after or table["nothing"], gone=f"{policy.key}-{event.before}", **values)


def _value(event: Event, name: str, ledger: Ledger) -> str:
    row = next((r for r in ledger.all_fields(event.ticket) if r.event == event.seq and r.field == name), None)
    return row.value or "-" if row is not None else "-"

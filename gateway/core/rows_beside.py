"""What commands store beside a ticket and its people: one class a table, as in core/rows.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketField:
    """Side table ``ticket_field``: values of the desk's own fields, as they were set; the last of a name counts."""

    event: int                      # seq of the event that set it
    ticket: int
    field: str
    value: str                      # '' if it was cleared


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLink:
    """Table ``ticket_link``: how a ticket hangs together with another; a row a side."""

    ticket: int
    other: int
    relation: str                   # core/command_table.RELATIONS
    since: datetime
    until: datetime | None          # None: it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """Table ``opt_out``: a person who wants no automatic mail."""

    person: int
    since: datetime
    cause: str                      # spool id


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Table ``listed``: the tickets that a digest or a rehearsal of ours named, by their number in it."""

    outbox: int
    number: int
    ticket: int
    version: int                    # of the ticket then: what came later is told


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRun:
    """Table ``digest_run``: when an agent's digest was last due and done, sent or empty."""

    person: int
    at: datetime
